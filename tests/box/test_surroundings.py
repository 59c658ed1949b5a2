"""What of the environment may lead into a directory that a box shares: nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pairingd.box.surroundings import keep_out


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("PATH", "{shared}/.venv/bin:/usr/bin:{shared}:/bin", "/usr/bin:/bin"),
        ("PATH", "{top}/by-link/bin:{shared}/../shared/bin:/usr/bin", "/usr/bin"),
        ("PATH", "{shared}/leads-out:/usr/bin", "/usr/bin"),
        ("PATH", "{shared}/bin", None),
        ("PATH", "{shared}-2/bin:/usr/bin", "{shared}-2/bin:/usr/bin"),
        ("LD_LIBRARY_PATH", "{shared}/lib:/opt/lib", "/opt/lib"),
        ("LD_PRELOAD", "{shared}/lib/any.so", None),
        ("PYTHONPATH", "{shared}", None),
        ("LANG", "C.UTF-8", "C.UTF-8"),
        ("HTTPS_PROXY", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_nothing_leads_into_what_is_shared(
    name: str, value: str, left: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path.resolve() / "shared"
    (shared / "bin").mkdir(parents=True)
    (shared / "leads-out").symlink_to("/usr/bin")
    (tmp_path / "by-link").symlink_to(shared)
    places = {"shared": str(shared), "top": str(tmp_path)}
    monkeypatch.setenv(name, value.format(**places))
    monkeypatch.setattr(os, "environ", {name: os.environ[name]})
    monkeypatch.setattr(sys, "path", ["/usr/lib", str(shared / "src")])
    keep_out((str(shared),))
    assert sys.path == ["/usr/lib"]
    assert os.environ.get(name) == (left and left.format(**places))
