"""The guardian: connections end on time though the daemon hangs, and with it however it dies."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.guardians import guardians_of
from tests.raw_terminal import RawTerminal
from tests.session import joined, own_stage, programs_first
from tests.stage import Stage, until
from tests.waiting import WAIT_S, has_ended

stage = own_stage


def inside(stage: Stage, *options: str) -> RawTerminal:
    """octocat, in the session and seen there by the daemon."""
    guest = stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy", *options)
    screen = joined(stage, guest)
    screen.shows("[pairing]", WAIT_S)
    known = ("show-options", "-sv", "@pairing-guests")
    until(lambda: stage.tmux(*known).strip(), "the daemon has seen the guest")
    return screen


def daemon(stage: Stage) -> int:
    return int(stage.asks("status")["daemon"]["pid"])


def connection(stage: Stage) -> psutil.Process:
    (only,) = stage.asks("status")["invitations"][0]["connections"]
    return psutil.Process(only["pid"])


def guardians(stage: Stage) -> list[psutil.Process]:
    return guardians_of(daemon(stage))


def is_gone(processes: list[psutil.Process]) -> bool:
    return all(map(has_ended, processes))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def ends_while_the_daemon_is_stopped(
    stage: Stage, screen: RawTerminal, guest: str = "octocat"
) -> Iterator[None]:
    """Their deadline is in some seconds, of which the guardian knows, and the daemon is stopped
    before: else the daemon itself would end it.
    """
    pid = daemon(stage)
    stage.expires_soon(guest)
    with stopped(pid):
        shown = screen.screen()
        yield
        screen.ended(WAIT_S)
    assert "Connection" not in shown


@pytest.mark.attack(
    "the daemon hangs while a guest's time runs out", "the guardian ends the connection"
)
@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["write", "read"])
def test_the_guardian_keeps_the_deadline_while_the_daemon_is_stopped(
    stage: Stage, options: tuple[str, ...]
) -> None:
    screen = inside(stage, *options)
    sshd = connection(stage)
    family = [sshd, *sshd.children(recursive=True)]
    with ends_while_the_daemon_is_stopped(stage, screen):
        until(lambda: is_gone(family), "nothing of the connection is left")


def test_the_guardian_follows_an_extension(stage: Stage) -> None:
    screen = inside(stage, "--ttl", "1h")
    stage.expires_soon("octocat")
    assert "error" not in stage.asks("extend", "octocat", "1h")
    other = stage.guest("hubot")
    stage.pairctl("invite", "hubot", "--no-copy")
    late = joined(stage, other)
    late.shows("[pairing]", WAIT_S)
    with ends_while_the_daemon_is_stopped(stage, late, "hubot"):
        pass  # later than octocat's first deadline
    screen.sends(b"echo still''-here\r")
    screen.shows("still-here", WAIT_S)


@pytest.mark.attack("the daemon is killed", "the guardian ends every connection at once")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_guardian_ends_all_when_the_daemon_is_killed(
    stage: Stage, number: signal.Signals
) -> None:
    screen = inside(stage)
    sshd = connection(stage)
    family = [sshd, *sshd.children(recursive=True), *guardians(stage)]
    os.kill(daemon(stage), number)
    screen.ended(WAIT_S)
    until(lambda: is_gone(family), "nothing of the connection is left")


@pytest.fixture
def setpriv() -> None:
    if sys.platform != "linux" or not shutil.which("setpriv"):
        pytest.skip("needs Linux and setpriv")


@pytest.fixture
def no_setpriv(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    programs_first(stage, monkeypatch, {"setpriv": "exit 1"})


@pytest.mark.parametrize(
    ("by", "options"),
    [("setpriv", ("--read-only",)), ("no_setpriv", ())],
    ids=["kernel-read", "shell-write"],
)
def test_all_end_when_daemon_and_guardian_are_killed(
    stage: Stage, request: pytest.FixtureRequest, by: str, options: tuple[str, ...]
) -> None:
    request.getfixturevalue(by)
    screen = inside(stage, *options)
    (guardian,) = guardians(stage)
    pid = daemon(stage)
    family = psutil.Process(pid).children(recursive=True)
    assert connection(stage) in family
    os.kill(pid, signal.SIGSTOP)  # or it would start another guardian
    guardian.kill()
    os.kill(pid, signal.SIGKILL)
    screen.ended(WAIT_S)
    until(lambda: is_gone(family), "nothing of the daemon's is left")


@pytest.mark.attack("a write guest kills the guardian", "another one takes over that knows as much")
def test_a_guardian_that_is_killed_is_replaced(stage: Stage) -> None:
    screen = inside(stage)
    (first,) = guardians(stage)
    first.kill()
    until(lambda: guardians(stage) not in ([], [first]), "another guardian")
    with ends_while_the_daemon_is_stopped(stage, screen):
        pass


@pytest.mark.attack(
    "a write guest stops the processes of their connection before the deadline",
    "they are ended all the same",
)
@pytest.mark.parametrize("which", ["all", "all but the first"])
def test_stopped_processes_of_a_connection_are_ended_too(stage: Stage, which: str) -> None:
    inside(stage)
    sshd = connection(stage)
    family = [sshd, *sshd.children(recursive=True)]
    for process in family[0 if which == "all" else 1 :]:
        process.suspend()
    stage.pairctl("revoke", "octocat", check=False)
    until(lambda: is_gone(family), "nothing of the connection is left")


@pytest.mark.parametrize("by", ["setpriv", "no_setpriv"], ids=["kernel", "shell"])
def test_nothing_is_left_when_no_guest_is_connected(
    stage: Stage, request: pytest.FixtureRequest, by: str
) -> None:
    request.getfixturevalue(by)
    screen = inside(stage)
    sshd = connection(stage)
    family = [sshd, *sshd.children(recursive=True)]
    (guardian,) = guardians(stage)
    screen.sends(b"\x02d")
    screen.ended(WAIT_S)
    until(lambda: is_gone([guardian, *family]), "the guardian and the connection are gone")
