"""The program that serves a guest of an account, with a program of a test's own in sshd's place."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pairingd.account import guest
from pairingd.core.admission import LOGIN_GRACE
from pairingd.world.door.guard import BEHIND_S
from tests.stage import until
from tests.waiting import WAIT_S, has_ended

LONG = 3600


class Served:
    """A connection that `guest.py` serves. `script` stands for sshd: it has the connection as its
    standard input and output, and writes its pid to `pids`.
    """

    def __init__(self, path: Path, script: str) -> None:
        self.pids = path / "pids"
        sshd = path / "sshd"
        sshd.write_text(
            f"#!/bin/sh\necho $$ >{self.pids}.new; mv {self.pids}.new {self.pids}\n{script}\n"
        )
        sshd.chmod(0o755)
        self.client, connection = socket.socketpair()
        self.client.settimeout(WAIT_S)
        self._commands, theirs = socket.socketpair()
        with connection, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(guest.__file__), "/config", str(sshd)],
                stdin=connection.fileno(),
                stdout=theirs.fileno(),
                start_new_session=True,
            )

    @property
    def sshd(self) -> psutil.Process:
        until(self.pids.exists, "it serves")
        return psutil.Process(int(self.pids.read_text()))

    def says(self, line: str) -> None:
        self._commands.sendall(f"{line}\n".encode())

    def ends_its_word(self) -> None:
        self._commands.close()

    def close(self) -> None:
        self.client.close()
        self._commands.close()
        self.process.kill()
        self.process.wait()
        if self.pids.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self.pids.read_text()), signal.SIGKILL)


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served(tmp_path, getattr(request, "param", "exec sleep 3600"))
    yield served
    served.close()


def is_over(served: Served, sshd: psutil.Process) -> None:
    served.process.wait(WAIT_S)
    until(lambda: has_ended(sshd), "sshd has ended")
    assert served.client.recv(1) == b""


@pytest.mark.parametrize("served", ["read line; echo heard $line; exit 7"], indirect=True)
def test_sshd_has_the_connection_and_its_exit_status_is_passed_on(served: Served) -> None:
    served.client.sendall(b"hello\n")
    assert served.client.recv(64) == b"heard hello\n"
    assert served.process.wait(WAIT_S) == 7


@pytest.mark.parametrize(
    "served",
    ["exec sleep 3600", "trap '' TERM; while :; do sleep 1; done", "kill -STOP $$; sleep 3600"],
    ids=["obeys", "ignores SIGTERM", "stopped"],
    indirect=True,
)
@pytest.mark.parametrize("word", ["guard 0", "end", None], ids=["deadline", "end", "no daemon"])
def test_a_connection_ends_by_the_hosts_word_whatever_it_does(
    served: Served, word: str | None
) -> None:
    sshd = served.sshd
    if word:
        served.says(word)
    else:
        served.ends_its_word()
    is_over(served, sshd)


def test_a_later_deadline_replaces_an_earlier_one(served: Served) -> None:
    sshd = served.sshd
    served.says("guard 2")
    served.says(f"guard {LONG}")
    with pytest.raises(subprocess.TimeoutExpired):  # what must not happen gets less time
        served.process.wait(3)
    served.says("guard 0")
    is_over(served, sshd)


@pytest.mark.parametrize(
    "served",
    ["trap 'echo told' URG; echo ready; while :; do sleep 0.1; done"],
    indirect=True,
)
def test_a_signal_reaches_the_process_that_is_named(served: Served) -> None:
    assert served.client.recv(16) == b"ready\n"
    served.says(f"signal {served.sshd.pid} {signal.SIGURG.value}")
    assert served.client.recv(16) == b"told\n"


@pytest.mark.parametrize(
    "line",
    [
        *("", "guard", "guard soon", "signal", "signal 1 9", "signal 0 9", "signal -1 9"),
        *("signal x y", "signal 99999999 9", "signal {own} 9999", "\0\xff", "end now"),
    ],
)
def test_a_line_that_is_no_command_is_passed_over(served: Served, line: str) -> None:
    sshd = served.sshd
    served.says(line.format(own=sshd.pid))
    served.says(f"signal {sshd.pid} {signal.SIGTERM.value}")
    is_over(served, sshd)


def test_what_has_stopped_its_guardian_is_killed_by_another(served: Served) -> None:
    sshd = served.sshd
    served.process.send_signal(signal.SIGSTOP)
    assert guest.end("/config", [str(served.process.pid)]) == 0
    is_over(served, sshd)


@pytest.mark.parametrize("words", [["99999999"], ["nobody"], [""]])
def test_where_there_is_nothing_to_end_it_says_so(words: list[str]) -> None:
    assert guest.end("/config", words) == 1


def test_a_login_has_as_long_as_at_the_hosts_own_guardian() -> None:
    assert guest.LOGIN_S == LOGIN_GRACE + BEHIND_S


def test_it_tests_a_configuration_by_that_very_sshd() -> None:
    completed = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            str(guest.__file__),
            "/config",
            "/bin/echo",
            "test",
            "-t",
            "-f",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout == "-t -f\n"
