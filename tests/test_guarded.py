"""The guardian: connections end on time though the daemon hangs, and with it however it dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from tests.guardians import guardians_of
from tests.raw_terminal import RawTerminal
from tests.session import joined, own_stage
from tests.stage import Stage, until

ATTENTIVE = 60.0
AHEAD = timedelta(seconds=6)


stage = own_stage


def inside(stage: Stage, *options: str) -> RawTerminal:
    """octocat, in the session and seen there by the daemon."""
    guest = stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy", *options)
    screen = joined(stage, guest)
    screen.shows("[pairing]", ATTENTIVE)
    known = ("show-options", "-sv", "@pairing-guests")
    until(lambda: stage.tmux(*known).strip(), "the daemon has seen the guest", ATTENTIVE)
    return screen


def daemon(stage: Stage) -> int:
    return int(stage.asks("status")["daemon"]["pid"])


def connection(stage: Stage) -> psutil.Process:
    (only,) = stage.asks("status")["invitations"][0]["connections"]
    return psutil.Process(only["pid"])


def guardians(stage: Stage) -> list[psutil.Process]:
    return guardians_of(daemon(stage))


def is_gone(processes: list[psutil.Process]) -> bool:
    running = []
    for process in processes:
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return not running


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ends_soon(stage: Stage) -> None:
    """The deadline is moved; the daemon has told the guardian once this returns."""
    until_ = (datetime.now(UTC) + AHEAD).replace(microsecond=0).isoformat()
    assert "error" not in stage.asks("extend", "octocat", "--until", until_)


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
    ends_soon(stage)
    with stopped(daemon(stage)):
        screen.ended(ATTENTIVE)
        until(lambda: is_gone(family), "nothing of the connection is left", ATTENTIVE)


def test_the_guardian_follows_an_extension(stage: Stage) -> None:
    screen = inside(stage, "--ttl", "1h")
    ends_soon(stage)
    assert "error" not in stage.asks("extend", "octocat", "1h")
    other = stage.guest("hubot")
    stage.pairctl("invite", "hubot", "--no-copy")
    late = joined(stage, other)
    late.shows("[pairing]", ATTENTIVE)
    deadline = (datetime.now(UTC) + AHEAD).replace(microsecond=0).isoformat()
    stage.asks("extend", "hubot", "--until", deadline)
    with stopped(daemon(stage)):
        late.ended(ATTENTIVE)  # later than octocat's first deadline
    screen.sends(b"echo still''-here\r")
    screen.shows("still-here", ATTENTIVE)


@pytest.mark.attack("the daemon is killed", "the guardian ends every connection at once")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_the_guardian_ends_all_when_the_daemon_is_killed(
    stage: Stage, number: signal.Signals
) -> None:
    screen = inside(stage)
    sshd = connection(stage)
    family = [sshd, *sshd.children(recursive=True), *guardians(stage)]
    os.kill(daemon(stage), number)
    screen.ended(ATTENTIVE)
    until(lambda: is_gone(family), "nothing of the connection is left", ATTENTIVE)


@pytest.mark.attack("a write guest kills the guardian", "another one takes over that knows as much")
def test_a_guardian_that_is_killed_is_replaced(stage: Stage) -> None:
    screen = inside(stage)
    (first,) = guardians(stage)
    first.kill()
    until(lambda: guardians(stage) not in ([], [first]), "another guardian", ATTENTIVE)
    ends_soon(stage)
    with stopped(daemon(stage)):
        screen.ended(ATTENTIVE)


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
    until(lambda: is_gone(family), "nothing of the connection is left", ATTENTIVE)


def test_the_guardian_ends_when_no_guest_is_connected(stage: Stage) -> None:
    screen = inside(stage)
    (guardian,) = guardians(stage)
    screen.sends(b"\x02d")
    screen.ended(ATTENTIVE)
    until(lambda: is_gone([guardian]), "the guardian is gone", ATTENTIVE)
