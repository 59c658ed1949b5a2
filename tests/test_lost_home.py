"""The daemon's directory goes while a guest is in: nobody could revoke them, so they are out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.session import joined, own_stage
from tests.stage import Stage, is_open, until
from tests.waiting import WAIT_S

stage = own_stage


def removed(home: Path) -> None:
    shutil.rmtree(home)


def moved(home: Path) -> None:
    home.rename(home.with_name("elsewhere"))


def replaced(home: Path) -> None:
    moved(home)
    home.mkdir(mode=0o700)


def without_lock(home: Path) -> None:
    (home / "pairingd.lock").unlink()


LOSSES = (removed, replaced, without_lock)


@pytest.mark.parametrize("lost", LOSSES)
def test_a_daemon_whose_home_is_lost_closes_everything_and_ends(
    stage: Stage, lost: Callable[[Path], None]
) -> None:
    guest = stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy")
    screen = joined(stage, guest)
    screen.shows("[pairing]", WAIT_S)
    status = stage.asks("status")
    daemon, door = psutil.Process(status["daemon"]["pid"]), status["door"]["port"]
    shell = psutil.Process(int(stage.tmux("display-message", "-p", "#{pane_pid}")))
    lost(stage.home)
    screen.ended(WAIT_S)
    until(lambda: not daemon.is_running() or daemon.status() == "zombie", "the daemon has ended")
    assert not is_open(door)
    assert stage.mappings() == []
    assert shell.is_running()
    stage.home.mkdir(mode=0o700, exist_ok=True)
    stage.configure()
    stage.pairctl("start")  # another one can, and says what is true
    assert bool(stage.asks("status")["invitations"]) == (lost is without_lock)


@pytest.mark.skipif(sys.platform != "linux", reason="an idle daemon is told by F_NOTIFY")
@pytest.mark.parametrize("lost", LOSSES)
def test_an_idle_daemon_whose_home_is_lost_ends(stage: Stage, lost: Callable[[Path], None]) -> None:
    """The next daemon could not take its place in the service manager."""
    daemon = stage.daemon()
    lost(stage.home)
    assert daemon.wait(WAIT_S) == 0


def test_a_home_moved_with_its_daemon_is_used_at_its_new_place(stage: Stage) -> None:
    guest = stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy")
    pid = stage.asks("status")["daemon"]["pid"]
    stage.home = stage.home.rename(stage.home.with_name("elsewhere"))
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "ended")
    stage.pairctl("start")
    assert [one["guest"] for one in stage.asks("status")["invitations"]] == ["github:octocat"]
    guest.joins().shows("[pairing]")
