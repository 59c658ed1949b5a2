from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pairingd.core.model import Grant
from pairingd.core.records import replace
from pairingd.world.authorized_keys import AuthorizedKeys, KeyFiles
from tests.core.make import START, invitation

ALL = tuple(
    grant
    for number in range(50)
    for grant in invitation(f"github:g{number}", id=f"{number}").grants
)


def changed(place: int, **fields: Any) -> tuple[Grant, ...]:
    return *ALL[:place], replace(ALL[place], **fields), *ALL[place + 1 :]


@pytest.mark.parametrize(
    ("grants", "rendered"),
    [
        (ALL, 0),
        (ALL[1:], 0),
        (ALL[::-1], 0),
        ((), 0),
        ((*ALL, ALL[7]), 0),
        (changed(3, expires_at=START + 9), 1),
        (changed(3, ask=True), 1),
        (changed(3, invitation="another"), 1),
        (changed(3, key=replace(ALL[3].key, blob="AAAA")), 1),
        (changed(3, key=replace(ALL[3].key, type="ssh-rsa")), 1),
    ],
)
@pytest.mark.parametrize("zulu", [True, False])
def test_a_change_of_one_grant_renders_its_line_alone(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    grants: tuple[Grant, ...],
    rendered: int,
    zulu: bool,
) -> None:
    keys = AuthorizedKeys(
        *(tmp_path / "keys", "/usr/bin/tmux", tmp_path / "tmux.sock", "$0", tmp_path / "live"),
        *(tmp_path / "control", True),
    )
    files = KeyFiles()
    files.write(keys, ALL)
    keys = replace(keys, zulu=zulu)
    line, lines = AuthorizedKeys.line, list[str]()

    def noted(keys: AuthorizedKeys, grant: Grant) -> str:
        lines.append(line(keys, grant))
        return lines[-1]

    monkeypatch.setattr(AuthorizedKeys, "line", noted)
    files.write(keys, grants)
    assert len(lines) == (rendered if zulu else len(grants))
    assert keys.path.read_text() == "".join(line(keys, grant) for grant in grants)
    assert files.grants(keys, grants) == grants
