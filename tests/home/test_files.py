"""The daemon's files and directories are the user's alone."""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

import pytest

from pairingd.errors import Misconfigured, WorldError
from pairingd.home.files import (
    check_directory,
    private_directories,
    private_directory,
    private_file,
    write_private,
)
from tests.sources import ROOT, SOURCES, parsed


def refused(path: Path) -> str:
    with pytest.raises(Misconfigured) as caught:
        private_directory(path)
    return caught.value.code


def test_a_new_or_existing_directory_is_made_private(tmp_path: Path) -> None:
    private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    private_directory(tmp_path / "open")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


@pytest.mark.attack("the home lies where other users could swap it", "refused")
def test_a_directory_that_others_could_replace_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert refused(tmp_path / "home") == "unsafe-home"
    tmp_path.chmod(0o1777)  # as /tmp is
    private_directory(tmp_path / "home")


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert refused(tmp_path / "home") == "unusable-home"


@pytest.mark.attack("the home, or a link to it, belongs to another user", "refused")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_directory_or_link_of_another_user_is_refused(tmp_path: Path) -> None:
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


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.mkdir()
    with pytest.raises(WorldError) as caught:
        write_private(path, "new")
    assert caught.value.code == "unwritable-file"
    assert caught.value.hint == "move it out of the way"
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


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o2755])
def test_a_directory_with_nothing_but_our_files_is_made_private(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("config.toml", ".config.toml.swp", "state.db-wal", "pairingd.log.1"):
        (home / name).touch()
    home.chmod(mode)
    private_directory(home)
    assert stat.S_IMODE(home.stat().st_mode) & 0o777 == 0o700


@pytest.mark.attack(
    "PAIRING_HOME names a directory that others use, such as /tmp or a home directory",
    "pairing refuses it and leaves its mode as it is",
)
@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o777, 0o1777, 0o3777])
@pytest.mark.parametrize("theirs", ["notes", ".bashrc", "my-state.db"])
def test_a_directory_that_holds_other_things_is_refused_and_not_changed(
    tmp_path: Path, mode: int, theirs: str
) -> None:
    """Even where an earlier version has left its files there."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("state.db", "pairingd.lock", "config.toml", theirs):
        (home / name).touch()
    home.chmod(mode)
    assert refused(home) == "unsafe-home"
    assert stat.S_IMODE(home.stat().st_mode) == mode


def test_a_shared_directory_is_refused_even_while_it_is_empty(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert refused(tmp_path) == "unsafe-home"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_a_world_writable_directory_is_refused_unless_it_is_empty(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    private_directory(home)
    (home / "config.toml").touch()
    home.chmod(0o777)
    assert refused(home) == "unsafe-home"
    assert stat.S_IMODE(home.stat().st_mode) == 0o777


@pytest.mark.parametrize("name", ["/", "/home", "/mnt", "/usr", "/etc"])
def test_a_directory_of_the_system_is_refused_even_while_it_is_empty(name: str) -> None:
    if not Path(name).is_dir():
        pytest.skip(f"there is no {name}")
    with pytest.raises(Misconfigured) as caught:
        check_directory(Path(name))
    assert caught.value.code == "unsafe-home"
    assert f" {Path(name, 'pairing')}" in caught.value.hint


def test_all_directories_are_checked_before_the_first_is_created(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(Misconfigured):
        private_directories([tmp_path / "config", shared])
    assert list(tmp_path.iterdir()) == [shared]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_nothing_is_created_in_another_users_directory(tmp_path: Path) -> None:
    home = tmp_path / "alice"
    home.mkdir()
    os.chown(home, 65534, 65534)
    assert refused(home / ".config" / "pairing") == "unsafe-home"
    assert list(home.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_in_our_place_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    file.touch()
    os.chown(file, 65534, 65534)
    with pytest.raises(Misconfigured):
        private_file(file)


def test_files_reach_the_disk_by_disk_sync_alone() -> None:
    """fsync(2) itself leaves them in the drive's cache on macOS."""
    callers = {
        str(source.relative_to(ROOT))
        for source in SOURCES
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Attribute)
        and node.attr in {"fsync", "fdatasync", "sync_file_range"}
    }
    assert callers == {"pairingd/home/disk.py"}
