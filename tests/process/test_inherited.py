"""Where programs are looked for, whatever PATH came with."""

from __future__ import annotations

import os

import pytest

from pairingd.process.inherited import leave_the_working_directory


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("/usr/bin:/bin", "/usr/bin:/bin"),
        (".:/usr/bin::/bin:", "/usr/bin:/bin"),
        ("node_modules/.bin:../bin:/usr/bin", "/usr/bin"),
        (".", None),
        ("", None),
        (None, None),
    ],
)
def test_path_has_no_place_below_the_working_directory(
    given: str | None, left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {} if given is None else {"PATH": given})
    leave_the_working_directory()
    assert os.environ.get("PATH") == left
