"""Terminals that tmux does not know, or cannot draw in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.session import cleared_stage, daemon_of_each_tmux, with_one_tmux
from tests.stage import Stage

shared = daemon_of_each_tmux
stage = cleared_stage


@pytest.mark.parametrize(
    ("shared", "access"), [("tmux", "read"), ("newest tmux", "write")], indirect=["shared"]
)
def test_a_guest_with_any_TERM_gets_in(stage: Stage, access: str) -> None:  # noqa: N802
    guest = stage.guest("octocat")
    read_only = ("--read-only",) if access == "read" else ()
    assert "error" not in stage.asks("invite", "octocat", *read_only, "--no-copy")
    stage.tmux("send-keys", "-t", "=pairing:", "echo wr''itten", "Enter")
    for term in ("dumb", "unknown", "", "xterm-of-tomorrow"):
        screen = stage.terminal("env", f"TERM={term}", *guest.ssh())
        screen.shows("written")
        screen.presses("C-b", "d")
        screen.ended()


@with_one_tmux
@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_attach_from_a_terminal_that_tmux_cannot_use(stage: Stage, term: str) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    set_term = ("env", f"TERM={term}") if term else ("env", "-u", "TERM")
    screen = stage.terminal(*set_term, sys.executable, "-m", "pairctl", "attach")
    assert screen.ended() == 1
    assert "error: tmux cannot draw in this terminal" in screen.screen()
    assert "hint: " in screen.screen()


@with_one_tmux
def test_attach_from_a_terminal_newer_than_this_machine(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.terminal(
        "env", "TERM=xterm-of-tomorrow", sys.executable, "-m", "pairctl", "attach"
    ).shows("[pairing")


@pytest.mark.parametrize(
    ("term", "given"),
    [
        ("xterm", "xterm"),
        ("xterm-of-tomorrow", "xterm-256color"),
        *((bad, f"bad-terminal {bad or 'not set'}") for bad in ("dumb", "unknown", "")),
    ],
)
def test_the_terminal_type_given_to_tmux(term: str, given: str) -> None:
    # In a process of its own: curses reads one description in a process's life.
    script = f"""
from pairctl.tmux.terminal_type import usable
from pairingd.core.refusal import PairingError
try:
    print(usable({term!r}))
except PairingError as refused:
    print(refused.code, {(term or "not set")!r} in refused.message and {(term or "not set")!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == given
