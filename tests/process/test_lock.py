from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from pairingd.process.lock import Taken, sign, take


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "pairingd.lock"


def test_the_lock_is_held_until_it_is_closed(lock: Path) -> None:
    held = take(str(lock), os.O_CREAT)
    sign(held)
    with pytest.raises(Taken) as caught:
        take(str(lock))
    assert caught.value.pid == str(os.getpid())
    os.close(held)
    os.close(take(str(lock)))


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
