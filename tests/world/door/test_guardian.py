"""The guardian, as the program that it is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from pairingd.world.door import guardian
from tests.stage import until
from tests.waiting import WAIT_S

LONG = 3600


class Guarded:
    """A guardian, and process groups that it hears of."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []
        self._commands, theirs = socket.socketpair()
        with theirs:
            argv = (sys.executable, "-I", "-S", str(guardian.__file__))
            self.process = self._start(*argv, stdin=theirs.fileno())

    def _start(self, *argv: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(argv, stdin=stdin, process_group=0)
        self._started.append(process)
        return process

    def group(self, script: str = "sleep 3600") -> subprocess.Popen[bytes]:
        return self._start("/bin/sh", "-c", script)

    def says(self, text: str, *descriptors: int) -> None:
        socket.send_fds(self._commands, [text.encode() + b"\n"], descriptors)

    def ends_its_input(self) -> None:
        self._commands.close()

    def close(self) -> None:
        self._commands.close()
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    guarded = Guarded()
    yield guarded
    guarded.close()


def is_gone(process: subprocess.Popen[bytes]) -> None:
    until(lambda: process.poll() is not None, "the end of the group")


def test_a_group_is_ended_at_its_deadline_and_no_other(guarded: Guarded) -> None:
    over, other = guarded.group(), guarded.group()
    guarded.says(f"guard {other.pid} {LONG}")
    guarded.says(f"guard {over.pid} 0.1")
    is_gone(over)
    assert other.poll() is None


def test_a_deadline_that_was_moved_is_followed(guarded: Guarded) -> None:
    extended, shortened = guarded.group(), guarded.group()
    guarded.says(f"guard {extended.pid} 1\nguard {shortened.pid} {LONG}")
    guarded.says(f"guard {extended.pid} {LONG}\nguard {shortened.pid} 1.5")
    is_gone(shortened)
    assert extended.poll() is None


def test_a_group_that_was_released_is_left_alone(guarded: Guarded) -> None:
    released, after = guarded.group(), guarded.group()
    guarded.says(f"guard {released.pid} 1\nrelease {released.pid}\nguard {after.pid} 1.5")
    is_gone(after)
    assert released.poll() is None


@pytest.mark.attack(
    "the daemon is killed, in whatever way", "the guardian ends every connection at once"
)
def test_all_groups_and_the_guardian_end_with_the_daemon(guarded: Guarded) -> None:
    groups = [guarded.group() for _ in range(5)]
    for group in groups:
        guarded.says(f"guard {group.pid} {LONG}")
    guarded.ends_its_input()
    for group in groups:
        is_gone(group)
    is_gone(guarded.process)
    assert guarded.process.returncode == 0


@pytest.mark.attack(
    "a process of a connection is stopped or ignores SIGTERM when its time is up", "it is killed"
)
@pytest.mark.parametrize("script", ["trap '' TERM; sleep 3600 & wait", "kill -STOP $$; sleep 3600"])
def test_a_group_that_does_not_end_on_sigterm_is_killed(guarded: Guarded, script: str) -> None:
    stubborn = guarded.group(script)
    family = until(lambda: psutil.Process(stubborn.pid).children() or "STOP" in script, "it runs")
    guarded.says(f"guard {stubborn.pid} 0")
    is_gone(stubborn)
    children = family if isinstance(family, list) else []
    until(lambda: not any(child.is_running() for child in children), "its children")


@pytest.mark.parametrize("end", ["deadline", "daemon"])
def test_a_connection_that_the_daemon_holds_open_is_shut_down(guarded: Guarded, end: str) -> None:
    group = guarded.group()
    ours, guests = socket.socketpair()
    with ours, guests:
        guarded.says(f"guard {group.pid} {LONG}\nsocket {group.pid}", ours.fileno())
        if end == "deadline":
            guarded.says(f"guard {group.pid} 0")
        else:
            guarded.ends_its_input()
        guests.settimeout(WAIT_S)
        assert guests.recv(1) == b""


def test_a_connection_that_was_released_is_left_open(guarded: Guarded) -> None:
    released, after = guarded.group(), guarded.group()
    ours, guests = socket.socketpair()
    with ours, guests:
        guarded.says(f"guard {released.pid} 0.5\nsocket {released.pid}", ours.fileno())
        guarded.says(f"release {released.pid}\nguard {after.pid} 1")
        is_gone(after)
        ours.sendall(b"x")
        assert guests.recv(1) == b"x"


def test_an_invalid_command_is_ignored(guarded: Guarded) -> None:
    group = guarded.group()
    mine = os.getpgid(0)
    for text in ("", "guard", "guard x 1", f"guard {group.pid} soon", "guard 1 0", "guard 0 0"):
        guarded.says(text)
    guarded.says(f"guard -{mine} 0\nrelease\nrelease x\n\x00\xff")
    guarded.says(f"guard {group.pid} 0")
    is_gone(group)


def test_signals_do_not_end_the_guardian_before_its_groups(guarded: Guarded) -> None:
    group = guarded.group()
    guarded.says(f"guard {group.pid} {LONG}")
    first = guarded.group()
    guarded.says(f"guard {first.pid} 0")
    is_gone(first)  # so it has begun
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        guarded.process.send_signal(number)
    guarded.ends_its_input()
    is_gone(group)
    is_gone(guarded.process)
    assert guarded.process.returncode == 0
