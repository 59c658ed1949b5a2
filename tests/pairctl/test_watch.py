"""What goes on until it is ended: status --watch and log --follow."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.daemon import FakeDaemon
from tests.pairctl import samples
from tests.pairctl.terminal import Terminal
from tests.waiting import WAIT_S

PAIRCTL = [sys.executable, "-m", "pairctl"]
WATCHED: dict[str, Any] = {"watch": {"events": samples.EVENTS[:1]}}
LATER = {**samples.EVENTS[1], "text": "bob\x1b[2J left"}


def piped(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PAIRCTL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    return process.returncode, out, err


def test_status_json_is_one_document_a_change(sock: Path) -> None:
    with (
        FakeDaemon(sock, {**WATCHED, "status": samples.IDLE}) as daemon,
        piped("status", "--watch", "--json") as process,
    ):
        assert json.loads(line(process)) == samples.IDLE
        daemon.tell("event", LATER)  # nothing has changed by it
        daemon.asked("status")
        daemon.asked("status")
        daemon.replies["status"] = samples.STATUS
        daemon.tell("event", LATER)
        assert json.loads(line(process)) == samples.STATUS
        assert interrupt(process) == (0, "", "")


def test_status_as_text_is_one_block_a_change(sock: Path) -> None:
    with (
        FakeDaemon(sock, {**WATCHED, "status": samples.IDLE}) as daemon,
        piped("status", "--watch") as process,
    ):
        block = [line(process) for _ in range(5)]
        daemon.replies["status"] = samples.STATUS
        daemon.tell("event", LATER)
        assert line(process) == "\n"
        assert line(process) == "Session   pairing: running, 2 terminals attached\n"
        interrupt(process)
    assert block[0] == "Session   pairing: not running\n"


@pytest.mark.parametrize(("key", "size"), [(b"q", (24, 80)), (b"\x03", (0, 0))])
def test_on_a_terminal_it_is_live_until_q_or_ctrl_c(
    sock: Path, key: bytes, size: tuple[int, int]
) -> None:
    """A serial line has no size."""
    with (
        FakeDaemon(sock, {**WATCHED, "status": samples.IDLE}) as daemon,
        Terminal([*PAIRCTL, "status", "--watch"], size=size) as terminal,
    ):
        modes = terminal.lflags()
        terminal.wait_for(b"not running")
        assert not terminal.lflags() & termios.ECHO
        daemon.replies["status"] = samples.STATUS
        daemon.tell("event", LATER)
        terminal.wait_for(b"2 terminals attached")
        terminal.wait_for(b"198.51.100.4:51234")
        terminal.send(b"x")
        terminal.wait_for(b"2 terminals attached")  # the remaining times are drawn anew
        terminal.send(key)
        assert terminal.wait() == 0
        assert terminal.lflags() == modes
    assert b"Traceback" not in terminal.seen
    assert b"\x1b[?1049l" in terminal.seen, "the screen of before is back"
    assert b"\x1b[?25h" in terminal.seen, "the cursor is shown"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_is_as_before_also_after_kill(sock: Path, number: signal.Signals) -> None:
    with (
        FakeDaemon(sock, {**WATCHED, "status": samples.IDLE}),
        Terminal([*PAIRCTL, "status", "--watch"]) as terminal,
    ):
        modes = terminal.lflags()
        terminal.wait_for(b"not running")
        terminal.process.send_signal(number)
        terminal.wait()
        assert terminal.lflags() == modes
    assert b"\x1b[?25h\x1b[?1049l" in terminal.seen


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_be_drawn_on_is_given_a_block_a_change(
    sock: Path, term: str
) -> None:
    with (
        FakeDaemon(sock, {**WATCHED, "status": samples.IDLE}) as daemon,
        Terminal([*PAIRCTL, "status", "--watch"], {"TERM": term}) as terminal,
    ):
        terminal.wait_for(b"not running")
        daemon.replies["status"] = samples.STATUS
        daemon.tell("event", LATER)
        terminal.wait_for(b"2 terminals attached")
        terminal.send(b"\x03")
        assert terminal.wait() == 0
    assert b"\x1b" not in terminal.seen


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_what_changes_without_an_event_is_shown_too(sock: Path, term: str) -> None:
    with (
        FakeDaemon(sock, {**WATCHED, "status": samples.IDLE}) as daemon,
        Terminal([*PAIRCTL, "status", "--watch"], {"TERM": term}) as terminal,
    ):
        terminal.wait_for(b"not running")
        daemon.replies["status"] = samples.STATUS
        terminal.wait_for(b"2 terminals attached")


def test_ctrl_z_gives_the_terminal_back_until_the_watch_goes_on(sock: Path) -> None:
    watch = shlex.join([*PAIRCTL, "status", "--watch"])
    shell = f"set -m; {watch}; while echo stopped; read _; do fg && exit; done"
    with (
        FakeDaemon(sock, {"status": samples.STATUS, **WATCHED}),
        Terminal(["sh", "-c", shell]) as terminal,
    ):
        modes = terminal.lflags()
        for _ in range(2):
            terminal.wait_for(b"\x1b[?1049h\x1b[?25l")
            terminal.wait_for(b"octocat")
            assert not terminal.lflags() & termios.ECHO
            terminal.send(b"\x1a")
            terminal.wait_for(b"\x1b[?25h\x1b[?1049l")
            terminal.wait_for(b"stopped")
            assert terminal.lflags() == modes
            terminal.send(b"\n")
        terminal.wait_for(b"octocat")
        terminal.send(b"q")
        assert terminal.wait() == 0


def test_an_older_daemons_reply_ends_the_watch_with_the_remedy_and_the_screen_of_before(
    sock: Path,
) -> None:
    with (
        FakeDaemon(sock, {"status": {}, **WATCHED}),
        Terminal([*PAIRCTL, "status", "--watch"]) as terminal,
    ):
        modes = terminal.lflags()
        assert terminal.wait() == 1
        assert terminal.lflags() == modes
    printed = terminal.seen.partition(b"\x1b[?25h\x1b[?1049l")[2]
    assert b"pairingd's reply has no '" in printed
    assert b"hint:" in printed
    assert b"pairctl restart" in printed


@pytest.mark.parametrize("words", [["status", "--watch"], ["log", "--follow"]])
def test_watching_ends_with_an_error_when_the_daemon_ends(sock: Path, words: list[str]) -> None:
    with (
        FakeDaemon(sock, {**WATCHED, "status": samples.IDLE}) as daemon,
        piped(*words) as process,
    ):
        assert line(process)
        daemon.close()
        _, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 3
    assert err.startswith("error: pairingd went away")


@pytest.mark.parametrize("words", [["status", "--watch"], ["log", "--follow", "--json"]])
def test_they_end_when_the_reader_of_the_pipe_has(sock: Path, words: list[str]) -> None:
    replies = {**WATCHED, "status": samples.IDLE}
    with FakeDaemon(sock, replies), piped(*words) as process:
        line(process)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(WAIT_S) == 141, "nothing is left to be written"


def test_log_follow_prints_new_events(sock: Path) -> None:
    with FakeDaemon(sock, WATCHED) as daemon, piped("log", "--follow") as process:
        assert line(process).endswith("github:octocat is invited until 15:40\n")
        daemon.tell("event", LATER)
        assert line(process).endswith("  bob[2J left\n")
        assert interrupt(process) == (0, "", "")


def test_log_follow_json_is_one_document_a_line(sock: Path) -> None:
    with FakeDaemon(sock, WATCHED) as daemon, piped("log", "--follow", "--json") as process:
        assert json.loads(line(process)) == samples.EVENTS[0]
        daemon.tell("event", LATER)
        assert json.loads(line(process)) == LATER
        assert interrupt(process) == (0, "", "")
