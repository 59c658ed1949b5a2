"""A read guest is behind glass: no key of theirs reaches tmux, whatever tmux.conf and tmux's version.

Each attack types in one burst, as a program would. Then the host's shell prints something, and once
the guest sees it, all that they sent before has been dealt with.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from pairingd.world.forced_command import glass
from tests.raw_terminal import RawTerminal
from tests.session import (
    ATTENTIVE,
    attached_host,
    cleared_stage,
    client_sessions,
    client_sizes,
    daemon_of_each_tmux,
    is_client_size,
    joined,
    window_size,
    with_one_tmux,
)
from tests.stage import Stage, until
from tests.waiting import has_ended

shared = daemon_of_each_tmux
stage = cleared_stage


BINDINGS = """
set -g prefix2 C-a
set -g mouse on
set -g focus-events on
bind-key R switch-client -r
bind-key -r W switch-client -r
bind-key E detach-client -E 'exec bash -i'
bind-key -n F5 switch-client -r
bind-key -T root MouseDown1Pane switch-client -r
set-hook -g client-attached 'switch-client -r'
set-hook -g client-session-changed 'switch-client -r'
set-hook -g client-focus-in 'switch-client -r'
"""
KEYS = (
    *(b"\x02R", b"\x01W", b"\x02E", b"\x1b[15~", b"\x1b[<0;5;5M", b"\x1b[I", b""),
    *(b"\x02:switch-client -r\r", b"\x02c\x02%\x02[\x02n\x02)\x02$\x1a"),
)


class ReadGuest:
    """A read guest in a session whose tmux.conf is `conf`, and the host's terminal in it."""

    def __init__(self, stage: Stage, conf: str = "") -> None:
        self.stage = stage
        self.proof = stage.path / "proof"
        (stage.user_home / ".tmux.conf").write_text(conf)
        guest = stage.guest("octocat")
        stage.asks("invite", "octocat", "--read-only", "--no-copy")
        self.host = attached_host(stage)
        self.host.shows("[pairing]", ATTENTIVE)
        self.screen = joined(stage, guest)
        self.screen.shows("[pairing]", ATTENTIVE)
        self.sends = self.screen.sends

    def is_seen(self, word: str) -> None:
        """A program of the host's prints it, and host and guest see it."""
        pane = self.stage.tmux("display-message", "-p", "-t", "=pairing:", "#{pane_tty}")
        Path(pane).write_text(f"{word}\r\n")
        self.host.shows(word, ATTENTIVE)
        self.screen.shows(word, ATTENTIVE)

    def has_no_effect(self) -> None:
        """What was sent is dealt with: the guest sees what the host typed after it."""
        self.is_seen("still-here")
        assert not self.proof.exists()
        assert "guest-typed" not in self.host.screen()
        windows = self.stage.tmux("list-windows", "-a", "-F", "#{window_index} #{window_panes}")
        assert windows.split() == ["0", "1"]
        assert self.stage.tmux("display-message", "-p", "-t", "=pairing:", "#{pane_in_mode}") == "0"


@pytest.mark.attack(
    "a read guest types keys that the host's tmux.conf binds to become a writer or run a program",
    "no key reaches tmux",
)
def test_no_binding_or_hook_makes_a_read_guest_s_keys_count(stage: Stage) -> None:
    guest = ReadGuest(stage, BINDINGS)
    touch = b"touch " + bytes(guest.proof)
    for keys in KEYS:
        guest.sends(keys + b"echo guest-typed; " + touch + b"\r")
        guest.sends(touch + b"\r\n")
    guest.has_no_effect()


@pytest.mark.attack(
    "a read guest sends every byte there is, but for the keys that leave", "no key reaches tmux"
)
def test_no_byte_from_a_read_guest_has_an_effect(stage: Stage) -> None:
    guest = ReadGuest(stage, "bind-key -n C-g run-shell 'touch /tmp/never'")
    for byte in range(256):
        if byte != 3:
            guest.sends(bytes([byte]) * 3)
    guest.sends(b"\x1b[?1;2c\x1bP>|xterm(370)\x1b\\\x1b]52;c;aGk=\x07\x1b[200~paste\x1b[201~")
    guest.has_no_effect()


@pytest.mark.attack(
    "tmux locks the session, as hardening guides demand, and a guest types into the lock program",
    "the shared session is never locked",
)
def test_tmux_s_lock_program_does_not_run_before_a_guest(stage: Stage) -> None:
    proof = stage.path / "locked"
    guest = ReadGuest(stage, f"set -g lock-after-time 1\nset -g lock-command 'touch {proof}; sh'")
    stage.tmux("lock-session", "-t", "=pairing:")
    option = ("show-options", "-v", "-t", "=pairing:")
    assert stage.tmux(*option, "lock-after-time") == "0"
    guest.sends(b"touch " + bytes(guest.proof) + b"\r")
    guest.has_no_effect()
    assert not proof.exists()


@pytest.mark.attack(
    "a read guest's terminal is 65535x65535, has one row, or changes its size without a pause",
    "tmux hears of 10x3 to 500x200, at most ten times a second",
)
@pytest.mark.parametrize("host_is_in", [True, False])
def test_a_read_guest_s_terminal_size_is_clamped_and_resizes_nothing(
    stage: Stage, host_is_in: bool
) -> None:
    guest = ReadGuest(stage)
    if not host_is_in:
        guest.host.presses("C-b", "d")
        guest.host.ended(ATTENTIVE)
    before = window_size(stage)
    for columns, lines in ((65535, 65535), (5000, 2000), (501, 201), (1, 1), (0, 0), (65535, 1)):
        guest.screen.has_size(columns, lines)
        time.sleep(0.05)  # paces the attack; nothing waits for it
    for columns, lines, heard in ((1, 1, "10x3"), (0, 0, "80x24"), (80, 1, "80x3")):
        guest.screen.has_size(columns, lines)
        until(partial(is_client_size, stage, heard), "the clamped size", ATTENTIVE)
    guest.screen.has_size(5000, 2000)
    until(lambda: "500x200" in client_sizes(stage), "the clamped size", ATTENTIVE)
    assert window_size(stage) == before


@pytest.mark.attack(
    "a read guest's terminal has 65535x65535 pixels, in which tmux draws each image of the host's",
    "tmux hears of 7680x4320 at most",
)
def test_a_read_guest_s_pixels_are_clamped(stage: Stage) -> None:
    guest = ReadGuest(stage)

    def are_cells(size: str) -> bool:
        form = "#{client_width} #{client_cell_width}x#{client_cell_height}"
        return f"100 {size}" in stage.tmux("list-clients", "-F", form).splitlines()

    for pixels, cells in (((1600, 900), "16x30"), ((65535, 65535), "76x144")):
        guest.screen.has_size(100, 30, pixels=pixels)
        until(partial(are_cells, cells), f"cells of {cells}", ATTENTIVE)


def test_however_often_a_read_guest_s_terminal_changes_its_size_the_client_hears_of_it_less(
    stage: Stage,
) -> None:
    """The client paints all the time, so that there is always something else to do."""
    client, heard = stage.path / "client", stage.path / "heard"
    client.write_text(
        f"#!/bin/sh\ntrap 'echo >>{heard}' WINCH\nwhile :; do echo painted; sleep 0.01; done\n"
    )
    client.chmod(0o700)
    pane = (sys.executable, "-I", "-S", str(glass.__file__), str(stage.path / "mark"), "read")
    argv = (*pane, "plain", sys.executable, str(client), "socket", "session")
    guest = RawTerminal(argv, stage.environment, 80, 24)
    stage.closes(guest.close)
    guest.shows("painted", ATTENTIVE)
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        for columns in (100, 101):
            guest.has_size(columns, 24)
            guest.sends(b"x")
    guest.has_size(90, 24)
    until(lambda: heard.exists() and heard.read_text(), "it hears of a size", ATTENTIVE)
    assert len(heard.read_text()) <= 10 * (time.monotonic() - began) + 1


@pytest.mark.attack(
    "a read guest resizes their terminal while the host is out", "the session keeps its size"
)
def test_a_read_guest_alone_does_not_resize_the_session(stage: Stage) -> None:
    guest = ReadGuest(stage)
    guest.host.presses("C-b", "d")
    guest.host.ended(ATTENTIVE)
    before = window_size(stage)
    guest.screen.has_size(60, 20)
    until(lambda: "60x20" in client_sizes(stage), "the guest's size is known", ATTENTIVE)
    assert window_size(stage) == before
    guest.screen.sends(b"\x03")
    guest.screen.ended(ATTENTIVE)
    assert window_size(stage) == before


def test_a_write_guest_alone_sizes_the_session_and_yields_to_the_host(stage: Stage) -> None:
    guest = stage.guest("octocat")
    stage.asks("invite", "octocat", "--no-copy")
    screen = joined(stage, guest, columns=70, lines=22)
    screen.shows("[pairing]", ATTENTIVE)
    until(lambda: window_size(stage) == "70x21", "the guest's own size", ATTENTIVE)
    host = attached_host(stage, columns=100, lines=30)
    host.shows("[pairing]", ATTENTIVE)
    until(lambda: window_size(stage) == "100x29", "the host's size", ATTENTIVE)

    def guest_is_ignored() -> bool:
        """Apart from the daemon's own client, in control mode, which never counts."""
        clients = stage.tmux("list-clients", "-F", "#{client_control_mode} #{client_flags}")
        return any(one.startswith("0") and "ignore-size" in one for one in clients.splitlines())

    until(guest_is_ignored, "the guest's size does not count", ATTENTIVE)
    screen.sends(b"echo typed''-by-guest\r")
    host.shows("typed-by-guest", ATTENTIVE)
    assert window_size(stage) == "100x29"
    host.presses("C-b", "d")
    host.ended(ATTENTIVE)
    until(lambda: window_size(stage) == "70x21", "the guest's own size again", ATTENTIVE)


@pytest.mark.attack(
    "a write guest's terminal is 65535x65535 or has one row, at once or later",
    "tmux hears of 10x3 to 500x200",
)
def test_the_size_of_a_write_guest_is_clamped(stage: Stage) -> None:
    guest = stage.guest("octocat")
    stage.asks("invite", "octocat", "--no-copy")
    host = attached_host(stage)
    screen = joined(stage, guest, columns=65535, lines=65535)
    until(lambda: "500x200" in client_sizes(stage), "the clamped size", ATTENTIVE)
    screen.has_size(90, 30)
    until(lambda: "90x30" in client_sizes(stage), "a usual size", ATTENTIVE)
    screen.has_size(5000, 40)
    until(lambda: "500x40" in client_sizes(stage), "the clamped size", ATTENTIVE)
    screen.has_size(100, 1)
    until(lambda: "100x3" in client_sizes(stage), "the clamped size", ATTENTIVE)
    screen.sends(b"echo typed''-by-guest\r")
    host.shows("typed-by-guest", ATTENTIVE)


def test_a_read_guest_sees_the_key_that_leaves_and_leaves_with_it(stage: Stage) -> None:
    guest = ReadGuest(stage)
    guest.screen.shows("Ctrl-C leaves, same ssh returns", ATTENTIVE)
    until(lambda: stage.asks("receipt")["visits"], "a visit", ATTENTIVE)
    guest.screen.sends(b"\x03")
    assert guest.screen.ended(ATTENTIVE) == 0
    assert "Ctrl-C leaves" in guest.screen.screen()
    assert "you left; come back until" in guest.screen.screen()
    until(lambda: stage.asks("receipt")["visits"][0]["why"] == "left", "why it ended", ATTENTIVE)


@with_one_tmux
@pytest.mark.parametrize("killed", ["glass", "tmux client", "ssh"])
def test_the_glass_process_and_the_connection_end_with_each_other(
    stage: Stage, killed: str
) -> None:
    guest = ReadGuest(stage)
    (pid,) = (one["pid"] for one in stage.asks("status")["invitations"][0]["connections"])
    family = psutil.Process(pid).children(recursive=True)
    glass = next(one for one in family if any("glass.py" in word for word in one.cmdline()))
    (client,) = glass.children()
    if killed == "ssh":
        guest.screen.kills()
    else:
        os.kill((glass if killed == "glass" else client).pid, signal.SIGKILL)
        guest.screen.ended(ATTENTIVE)
    until(lambda: all(map(has_ended, [*family, glass, client])), "all are gone", ATTENTIVE)


def test_a_role_changes_there_and_back_with_the_guest_inside(stage: Stage) -> None:
    guest = ReadGuest(stage)
    stage.tmux("new-session", "-d", "-s", "used-later")
    stage.asks("role", "octocat", "write")
    guest.screen.sends(b"echo typed''-by-guest\r")
    guest.host.shows("typed-by-guest", ATTENTIVE)
    assert "used-later" not in client_sessions(stage)
    stage.asks("role", "octocat", "read")
    guest.sends(b"echo guest-typed; touch " + bytes(guest.proof) + b"\r")
    guest.sends(b"\x02ctouch " + bytes(guest.proof) + b"\r")
    guest.is_seen("still-here")
    assert not guest.proof.exists()
    assert client_sessions(stage) == {"pairing"}


@with_one_tmux
def test_a_role_that_changes_again_and_again_keeps_the_guest_in(stage: Stage) -> None:
    """Each change comes while the program of the one before is just starting."""
    guest = ReadGuest(stage)
    with stage.client() as client:
        for _ in range(20):
            for access in ("write", "read"):
                client.call("role", {"guest": "octocat", "access": access})
        client.call("role", {"guest": "octocat", "access": "write"})
    guest.sends(b"echo typed''-by-guest\r")
    guest.host.shows("typed-by-guest", ATTENTIVE)
    [visit] = stage.asks("receipt")["visits"]
    assert visit["until"] is None
