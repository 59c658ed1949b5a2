"""The shared session with each tmux that must hold, and the people in it, for tests of guests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.newest_tmux import newest_tmux
from tests.raw_terminal import RawTerminal
from tests.stage import Guest, Stage, Terminal, until
from tests.waiting import WAIT_S

ATTENTIVE = WAIT_S


@pytest.fixture
def own_stage() -> Iterator[Stage]:
    """For tests of the daemon's start and end, or of its configuration."""
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module")
def shared_stage() -> Iterator[Stage]:
    """One for the tests of a module, which see it cleared."""
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module", params=["tmux", "newest tmux"])
def daemon_of_each_tmux(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One daemon for the tests of a module: they are about guests and tmux, not about its start."""
    with Stage() as stage:
        if request.param == "newest tmux":
            stage.uses_tmux(newest_tmux())
        yield stage


# For a test of a module that shares `daemon_of_each_tmux`, of what pairingd does and tmux has no part in.
with_one_tmux = pytest.mark.parametrize("shared", ["tmux"], indirect=True)


@pytest.fixture(params=["tmux", "newest tmux"])
def own_stage_of_each_tmux(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """For tests of how the session begins or ends."""
    with Stage() as stage:
        if request.param == "newest tmux":
            stage.uses_tmux(newest_tmux())
        yield stage


@pytest.fixture
def cleared_stage(shared: Stage) -> Iterator[Stage]:
    """`shared` is what a module calls `shared_stage`, `daemon_of_each_tmux`, or one of its own."""
    yield shared
    shared.is_cleared()


def attached_host(stage: Stage, *, columns: int = 80, lines: int = 24) -> Terminal:
    attach = (sys.executable, "-m", "pairctl", "attach")
    return stage.terminal(*attach, columns=columns, lines=lines)


def joined(stage: Stage, guest: Guest, *, columns: int = 80, lines: int = 24) -> RawTerminal:
    terminal = RawTerminal(guest.ssh(), stage.environment, columns, lines)
    stage.closes(terminal.close)
    return terminal


def octocat_joins(stage: Stage, *options: str) -> Terminal:
    """Their terminal, once they are in."""
    guest = stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy", *options)
    screen = guest.joins()
    screen.shows("[pairing]")
    until(lambda: stage.asks("receipt")["visits"], "octocat is in")
    return screen


def window_size(stage: Stage) -> str:
    return stage.tmux(
        "display-message", "-p", "-t", "=pairing:", "#{window_width}x#{window_height}"
    )


def client_sizes(stage: Stage) -> set[str]:
    return set(stage.tmux("list-clients", "-F", "#{client_width}x#{client_height}").split())


def is_client_size(stage: Stage, size: str) -> bool:
    return size in client_sizes(stage)


def client_sessions(stage: Stage) -> set[str]:
    return set(stage.tmux("list-clients", "-F", "#{client_session}").split())


def notes_of_the_desktop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the notifications of the daemon to come are written."""
    notes = stage.path / "notified"
    programs_first(stage, monkeypatch, {"notify-send": f'echo "$*" >>{notes}'})
    return notes


def programs_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, scripts: Mapping[str, str]
) -> None:
    """Who starts from now on finds these first, by their names."""
    programs = stage.path / "bin"
    programs.mkdir()
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


def invited(stage: Stage, *argv: str) -> dict[str, Any]:
    answer = stage.asks("invite", *argv, "--no-copy")
    assert "error" not in answer, answer
    return answer


def refusal(stage: Stage, *argv: str, status: int = 1) -> dict[str, Any]:
    """The error of a command; in text it is one line of cause and one of remedy."""
    told = stage.pairctl(*argv, check=False)
    assert told.returncode == status, told
    assert told.stdout == ""
    lines = [line for line in told.stderr.splitlines() if line.startswith(("error:", "hint:"))]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], told.stderr
    again = stage.pairctl(*argv, "--json", check=False)
    assert again.returncode == status
    error: dict[str, Any] = json.loads(again.stdout)["error"]
    assert {"code", "message", "hint"} <= set(error)
    return error
