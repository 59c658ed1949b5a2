from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pairingd.errors import Misconfigured, WorldError
from pairingd.files import private_directory, private_file, write_private


def refused(path: Path) -> str:
    with pytest.raises(Misconfigured) as caught:
        private_directory(path)
    return caught.value.code


def test_a_directory_is_made_and_made_private(tmp_path: Path) -> None:
    private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    private_directory(tmp_path / "open")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_a_place_where_others_could_swap_it_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert refused(tmp_path / "home") == "unsafe-home"
    tmp_path.chmod(0o1777)  # as /tmp is
    private_directory(tmp_path / "home")


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert refused(tmp_path / "home") == "unusable-home"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    assert refused(tmp_path / "theirs") == "unsafe-home"
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    private_directory(tmp_path / "link")
    os.lchown(tmp_path / "link", 65534, 65534)
    assert refused(tmp_path / "link") == "unsafe-home"
    assert refused(tmp_path / "link" / "below") == "unsafe-home"


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.mkdir()
    with pytest.raises(WorldError) as caught:
        write_private(path, "new")
    assert caught.value.code == "unwritable-file"
    assert path.is_dir()


def test_a_file_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    file, link, other = tmp_path / "file", tmp_path / "link", tmp_path / "other"
    for path in (file, other):
        path.write_text("")
        path.chmod(0o666)
    link.symlink_to(other)
    for path in (file, link, tmp_path / "absent"):
        private_file(path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(other.stat().st_mode) == 0o666
