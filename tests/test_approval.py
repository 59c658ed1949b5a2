"""The host decides who comes in: both screens. Real daemon, sshd, ssh and tmux."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from pairingd.core.approval import INTERRUPTIONS
from tests.session import (
    ATTENTIVE,
    attached_host,
    cleared_stage,
    daemon_of_each_tmux,
    joined,
    with_one_tmux,
)
from tests.stage import ROOT, Guest, Stage, Terminal, until

shared = daemon_of_each_tmux
stage = cleared_stage

WAITS = "waiting for the host"
ASKS = "Somebody asks to come in"
READY = "Ctrl-Y lets them in"
IN = "[pairing]"  # of tmux's status line
LONGEST_NAME = "a" * 39


@pytest.fixture
def guest(stage: Stage) -> Guest:
    return stage.guest("octocat")


def invited(stage: Stage, *more: str, name: str = "octocat") -> None:
    answer = stage.asks("invite", name, "--ask", "--no-copy", *more)
    assert [one["ask"] for one in answer["invitations"]] == [True]


def host_of(stage: Stage, *, columns: int = 80, lines: int = 24) -> Terminal:
    host = attached_host(stage, columns=columns, lines=lines)
    host.shows(IN)
    return host


def waiting(stage: Stage, guest: Guest, *more: str) -> Terminal:
    screen = guest.joins(*more)
    screen.shows(WAITS)
    until(lambda: is_waiting(stage), "status says that somebody waits")
    return screen


def is_waiting(stage: Stage) -> bool:
    return any(one.get("waiting") for one in stage.asks("status")["invitations"])


def closes(host: Terminal) -> None:
    until(lambda: ASKS not in host.screen(), "the popup closes")


def events(stage: Stage, kind: str) -> list[dict[str, Any]]:
    return [one for one in stage.asks("log")["events"] if one["kind"] == kind]


def last_visit(stage: Stage) -> dict[str, Any]:
    visits: list[dict[str, Any]] = stage.asks("receipt")["visits"]
    return visits[-1]


def error_of(answer: dict[str, Any]) -> str:
    return str(answer["error"]["code"])


@pytest.mark.parametrize(
    ("shared", "access"),
    [("tmux", ("--read-only",)), ("newest tmux", ())],
    indirect=["shared"],
    ids=["tmux-read", "newest tmux-write"],
)
def test_the_popup_names_the_guest_and_ctrl_y_lets_them_in(
    stage: Stage, guest: Guest, access: tuple[str, ...]
) -> None:
    invited(stage, *access)
    host = host_of(stage)
    screen = waiting(stage, guest)
    host.shows(READY)
    [key] = stage.asks("status")["invitations"][0]["keys"]
    asked = host.screen()
    assert "github:octocat" in asked
    assert key["fingerprint"] in asked
    assert "from 127.0.0.1" in asked
    assert " s to decide" in asked
    assert IN not in screen.screen()
    host.presses("C-y")
    screen.shows(IN)
    closes(host)
    assert events(stage, "approved")[-1]["data"]["fingerprint"] == key["fingerprint"]
    assert not is_waiting(stage)


@with_one_tmux
def test_a_guest_who_waits_is_in_parentheses_until_they_are_in(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host_of(stage)
    screen = waiting(stage, guest)
    [connection] = stage.asks("status")["invitations"][0]["connections"]
    assert connection["waiting"] is True
    assert stage.pairctl("status", "--line").stdout.startswith("(octocat rw ")
    stage.pairctl("approve", "octocat")
    screen.shows(IN)
    assert stage.pairctl("status", "--line").stdout.startswith("octocat rw ")


@with_one_tmux
def test_ctrl_n_denies_the_guest_who_can_ask_again(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host = host_of(stage)
    screen = waiting(stage, guest)
    host.shows(READY)
    host.presses("C-n")
    screen.shows("the host did not let you in")
    assert screen.ended() == 1
    closes(host)
    visit = last_visit(stage)
    assert (visit["guest"], visit["why"]) == ("github:octocat", "denied")
    assert visit["about"] == "the host did not let them in"
    waiting(stage, guest)


def test_keys_pressed_blindly_decide_nothing(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host = host_of(stage)
    screen = waiting(stage, guest)
    host.shows(READY)
    for keys in (("y",), ("Y",), ("Enter",), ("Space",), ("Escape",), ("C-c",), ("C-b", "d")):
        host.presses(*keys)
    host.presses("x", "C-y")  # as somebody types
    host.presses("C-y", "Enter")
    host.shows("Not yet")
    host.shows(READY)
    assert is_waiting(stage)
    assert WAITS in screen.screen()
    assert IN not in screen.screen()


@pytest.mark.attack(
    "a guest who waits for approval types much more than a terminal holds", "all of it is dropped"
)
@pytest.mark.skipif(sys.platform != "linux", reason="only there a process's reads are counted")
@with_one_tmux
def test_input_typed_while_waiting_does_not_reach_the_session(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host = host_of(stage)
    screen = joined(stage, guest)
    screen.shows(WAITS, ATTENTIVE)
    [waits] = [one for one in psutil.process_iter(["cmdline"]) if is_screen_of(stage, one)]
    proof = stage.path / "proof"
    typed = b"\x13\x1c\x1a"  # Ctrl-S, Ctrl-\, Ctrl-Z
    typed += b"#xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r" * 300
    typed += f"touch {proof}\r".encode()
    before = has_read(waits)
    screen.sends(typed)
    until(lambda: has_read(waits) - before >= len(typed), "it has come")
    stage.pairctl("approve", "octocat")
    screen.shows(IN, ATTENTIVE)
    screen.sends(b"echo still-$((1+1))\r")
    host.shows("still-2")
    assert not proof.exists()


def has_read(process: psutil.Process) -> int:
    """Bytes: proc_pid_io(5)."""
    counters = Path(f"/proc/{process.pid}/io").read_text()
    return int(counters.partition("rchar: ")[2].split()[0])


def is_screen_of(stage: Stage, process: psutil.Process) -> bool:
    words = process.info["cmdline"] or ()
    return str(stage.home / "pairingd.sock") in words and "approval.py" in " ".join(words)


def test_a_command_answers_and_every_popup_closes(stage: Stage, guest: Guest) -> None:
    invited(stage)
    hosts = [host_of(stage), host_of(stage)]
    screen = waiting(stage, guest)
    for host in hosts:
        host.shows(ASKS)
    assert "let in" in stage.pairctl("approve", "octocat").stdout
    screen.shows(IN)
    assert ASKS not in screen.screen()
    for host in hosts:
        closes(host)


@with_one_tmux
def test_a_guest_who_is_not_waiting_can_be_neither_approved_nor_denied(
    stage: Stage, guest: Guest
) -> None:
    invited(stage)
    host_of(stage)
    assert error_of(stage.asks("approve", "octocat")) == "not-waiting"
    assert error_of(stage.asks("approve", "hubot")) == "no-such-guest"
    screen = waiting(stage, guest)
    stage.pairctl("approve", "octocat")
    for command in ("approve", "deny"):  # twice
        assert error_of(stage.asks(command, "octocat")) == "not-waiting"
    screen.shows(IN)
    assert stage.pairctl("approve", "octocat", check=False).returncode == 1


def test_a_guest_who_leaves_is_no_longer_waiting(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host = host_of(stage)
    screen = waiting(stage, guest)
    host.shows(ASKS)
    screen.presses("C-c")
    screen.shows("you have left")
    screen.ended()
    closes(host)
    until(lambda: not is_waiting(stage), "nobody waits")
    assert error_of(stage.asks("deny", "octocat")) == "not-waiting"
    assert events(stage, "withdrew")


@with_one_tmux
def test_an_approved_key_that_comes_back_soon_does_not_ask_again(
    stage: Stage, guest: Guest
) -> None:
    invited(stage)
    host_of(stage)
    screen = waiting(stage, guest)
    stage.pairctl("approve", "octocat")
    screen.shows(IN)
    screen.presses("C-b", "d")
    screen.ended()
    approved = len(events(stage, "approved"))
    guest.joins().shows(IN)
    assert len(events(stage, "approved")) == approved


@with_one_tmux
def test_a_second_terminal_of_an_approved_connection_is_in(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host_of(stage)
    path = ("-o", f"ControlPath={stage.path / 'mux.sock'}")
    first = waiting(stage, guest, "-M", *path)
    stage.pairctl("approve", "octocat")
    first.shows(IN)
    first.presses("C-b", "d")
    first.ended()
    guest.joins(*path).shows(IN)


@with_one_tmux
def test_a_guest_is_denied_while_the_host_is_away(stage: Stage, guest: Guest) -> None:
    invited(stage)
    screen = guest.joins()
    screen.shows("the host is not at the session now")
    assert screen.ended() == 1
    assert events(stage, "denied")[-1]["text"].startswith(
        "github:octocat was denied (nobody was attached)"
    )
    assert (last_visit(stage)["why"], last_visit(stage)["about"]) == (
        "denied",
        "nobody was attached",
    )
    text = stage.pairctl("receipt").stdout
    assert "Came in   nobody\nDenied    github:octocat\n" in text


@with_one_tmux
def test_with_wait_a_guest_waits_for_a_host_who_is_away(stage: Stage, guest: Guest) -> None:
    invited(stage, "--wait")
    screen = waiting(stage, guest)
    host = host_of(stage)
    host.shows(READY)
    host.presses("C-y")
    screen.shows(IN)


@with_one_tmux
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("revoke", "octocat"), "removed you"),
        (("end",), "ended the session"),
        (("stop",), "stopped pairing; if it restarts"),
    ],
)
def test_a_waiting_guest_whom_the_host_puts_out_reads_why(
    stage: Stage, guest: Guest, command: tuple[str, ...], reason: str
) -> None:
    invited(stage)
    host = host_of(stage)
    screen = waiting(stage, guest)
    host.shows(ASKS)
    stage.pairctl(*command)
    screen.shows(reason)
    assert screen.ended() != 0
    assert IN not in screen.screen()
    closes(host)


@with_one_tmux
def test_a_guest_whose_role_changes_while_waiting_gets_the_new_role(
    stage: Stage, guest: Guest
) -> None:
    invited(stage)
    host_of(stage)
    screen = waiting(stage, guest)
    stage.pairctl("role", "octocat", "read")
    assert is_waiting(stage)
    stage.pairctl("approve", "octocat")
    screen.shows("octocat ro")


def test_the_host_is_asked_about_two_guests_one_after_the_other(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host = host_of(stage)
    first = waiting(stage, guest)
    host.shows("github:octocat")
    other = stage.guest("hubot")
    invited(stage, name="hubot")
    second = other.joins()
    second.shows(WAITS)
    host.shows(READY)
    host.presses("C-n")
    assert first.ended() == 1
    host.shows("github:hubot")
    host.shows(READY)
    host.presses("C-y")
    second.shows(IN)


@pytest.mark.parametrize(("columns", "lines"), [(60, 24), (46, 12)])
def test_a_long_name_fits_into_a_small_terminal(stage: Stage, columns: int, lines: int) -> None:
    long = stage.guest(LONGEST_NAME)
    invited(stage, name=LONGEST_NAME)
    host = host_of(stage, columns=columns, lines=lines)
    waiting(stage, long)
    host.shows(READY)
    asked = "".join(host.screen().replace("│", "").split())  # long values are broken
    assert f"github:{LONGEST_NAME}" in asked
    assert stage.asks("status")["invitations"][0]["keys"][0]["fingerprint"] in asked
    assert "from127.0.0.1" in asked


def test_a_terminal_too_small_for_the_popup_shows_what_to_type(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host = host_of(stage, columns=80, lines=10)
    screen = waiting(stage, guest)
    host.shows("waits: pairctl approve github:octocat")
    assert ASKS not in host.screen()
    stage.pairctl("approve", "octocat")
    screen.shows(IN)


@pytest.mark.attack(
    "a guest who must be approved asks, leaves and asks again, so that popups take the host's keys",
    "after three popups the status line alone says that they wait, and the host types on",
)
def test_a_guest_who_asks_without_end_takes_no_more_of_the_host_s_keys(
    stage: Stage, guest: Guest
) -> None:
    invited(stage)
    host = host_of(stage, columns=120)
    for _ in range(INTERRUPTIONS):
        screen = waiting(stage, guest)
        host.shows(ASKS)
        screen.presses("C-c")
        screen.ended()
        closes(host)
        until(lambda: not is_waiting(stage), "nobody waits")
    screen = waiting(stage, guest)
    host.shows("octocat waits: pairctl approve")
    host.types("echo typed''-by-host")
    host.shows("typed-by-host")
    assert ASKS not in host.screen()
    stage.pairctl("approve", "octocat")
    screen.shows(IN)


def test_without_a_popup_a_message_says_what_to_type() -> None:
    with Stage() as stage:
        wrapper = stage.path / "tmux"
        wrapper.write_text(
            '#!/bin/sh\ncase " $* " in *" display-popup "*) exit 1 ;; esac\nexec tmux "$@"\n'
        )
        wrapper.chmod(0o700)
        stage.uses_tmux(wrapper)
        guest = stage.guest("octocat")
        invited(stage)
        host = host_of(stage)
        screen = guest.joins()
        host.shows("waits: pairctl approve github:octocat")
        stage.pairctl("approve", "github:octocat")
        screen.shows(IN)


def test_the_popup_runs_where_pairing_is_in_no_environment_of_its_own() -> None:
    packages = os.pathsep.join(path for path in sys.path if path.endswith("-packages"))
    python = str(Path(sys.base_prefix, "bin", "python3"))  # as after `pip install --user`
    with Stage() as stage:
        path = f"PYTHONPATH={ROOT}{os.pathsep}{packages}"
        daemon = ("env", path, python, "-P", "-m", "pairingd", "--detach")
        assert stage.run(*daemon).stderr == ""
        guest = stage.guest("octocat")
        invited(stage)
        host = host_of(stage)
        screen = waiting(stage, guest)
        host.shows(READY)
        host.presses("C-y")
        screen.shows(IN)


@pytest.mark.attack("logs in while the host is asked, and kills the daemon", "stays out")
def test_a_waiting_guest_is_disconnected_when_the_daemon_is_killed() -> None:
    with Stage() as stage:
        guest = stage.guest("octocat")
        invited(stage)
        host_of(stage)
        screen = waiting(stage, guest)
        status = stage.asks("status")
        [connection] = status["invitations"][0]["connections"]
        module = ("-P", "-m", "pairctl.popup", str(connection["pid"]))
        popup = stage.terminal(sys.executable, *module)
        popup.shows(READY)
        os.kill(status["daemon"]["pid"], signal.SIGKILL)
        assert popup.ended() == 0
        assert "Traceback" not in popup.screen()
        assert screen.ended() != 0
        assert IN not in screen.screen()


def test_the_configuration_can_have_every_guest_ask() -> None:
    with Stage() as stage:
        stage.configure("[guests]\nask = true\n")
        guest = stage.guest("octocat")
        [invitation] = stage.asks("invite", "octocat", "--no-copy")["invitations"]
        assert invitation["ask"]
        host_of(stage)
        waiting(stage, guest)


@with_one_tmux
def test_a_command_without_a_terminal_does_not_ask_the_host(stage: Stage, guest: Guest) -> None:
    invited(stage)
    host_of(stage)
    until(stage.mappings, "the router forwards")
    assert guest.runs("id").returncode == 1
    assert not is_waiting(stage)
    assert Path(stage.home / "authorized_keys").read_text().count("pairingd.sock") == 1
