from __future__ import annotations

import errno
import fcntl
import os
import resource
import time
from pathlib import Path

import pytest

from pairingd.process.lock import Taken, is_at, read, sign, take


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "pairingd.lock"


def test_the_lock_is_held_until_it_is_closed(lock: Path) -> None:
    held = take(str(lock), os.O_CREAT)
    sign(held, "", "")
    with pytest.raises(Taken) as caught:
        take(str(lock))
    assert caught.value.pid == str(os.getpid())
    os.close(held)
    os.close(take(str(lock)))


def test_a_signature_that_cannot_be_written_leaves_the_earlier_one(lock: Path) -> None:
    held = take(str(lock), os.O_CREAT)
    sign(held, "/run/user/1000/pairing/pairingd.sock", "")
    earlier = read(str(lock))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            sign(held, "", "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(str(lock)) == earlier
    sign(held, "", "")
    assert read(str(lock)).control_socket == ""
    os.close(held)


def test_take_creates_no_lock_file_where_no_daemon_has_run(lock: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take(str(lock))
    assert not lock.exists()


def test_a_process_that_only_probes_the_lock_is_not_taken_for_a_daemon(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = take(str(lock), os.O_CREAT)
    monkeypatch.setattr(time, "sleep", lambda _seconds: os.close(looking))
    os.close(take(str(lock)))


def test_a_lock_file_removed_while_it_is_taken_is_created_again(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = []

    def removed_in_between(descriptor: int, how: int) -> None:
        locks.append(descriptor)
        if len(locks) == 1:
            lock.unlink()

    monkeypatch.setattr(fcntl, "flock", removed_in_between)
    held = take(str(lock), os.O_CREAT)
    assert os.path.samestat(os.fstat(held), lock.stat())
    os.close(held)


def test_a_lock_is_at_its_path_until_it_or_its_directory_is_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    lock = home / "pairingd.lock"
    held = take(str(lock), os.O_CREAT)
    assert is_at(str(lock), held)
    home.rename(tmp_path / "elsewhere")
    assert not is_at(str(lock), held)
    home.write_text("")
    assert not is_at(str(lock), held)
    home.unlink()
    home.mkdir()
    lock.write_text("")
    assert not is_at(str(lock), held)
    os.close(held)


def test_a_lock_that_cannot_be_seen_is_not_taken_for_gone(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = take(str(lock), os.O_CREAT)

    def stale(_path: str) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", stale)
        assert is_at(str(lock), held)
    os.close(held)
