"""`invite --ssh-config`: with the block a real ssh enters, wherever the guest keeps their key."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import logins
from tests.session import cleared_stage, shared_stage
from tests.stage import Guest, Stage, Terminal, until
from tests.waiting import WAIT_S

# sshd's own MaxAuthTries is 6.
OTHER_KEYS = 8


shared = shared_stage
stage = cleared_stage


@pytest.fixture
def guest(stage: Stage) -> Guest:
    return stage.guest("octocat")


@pytest.fixture
def agent(stage: Stage) -> Iterator[Path]:
    """The socket of an ssh-agent without keys."""
    socket = stage.path / "agent.sock"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL
    ) as process:
        until(socket.is_socket, "the agent listens")
        yield socket
        process.terminate()
        process.wait(WAIT_S)


def add(stage: Stage, agent: Path, key: Path) -> None:
    stage.run("env", f"SSH_AUTH_SOCK={agent}", "ssh-add", "-q", str(key))


def enters(stage: Stage, agent: Path | str, *more: str) -> Terminal:
    """`ssh pairing` with the printed block. Nothing is sent to the address that it names."""
    block = stage.pairctl("invite", "octocat", "--ssh-config", "-q", "--no-copy").stdout
    config = stage.path / "ssh_config"
    config.write_text(block)
    until(stage.mappings, "the router forwards")
    return stage.terminal(
        *("env", f"SSH_AUTH_SOCK={agent}", "ssh", "-F", str(config), "-o", "HostName=127.0.0.1"),
        *(*logins.options, *more, "pairing"),
    )


def test_a_key_that_only_the_agent_has_enters(stage: Stage, guest: Guest, agent: Path) -> None:
    add(stage, agent, guest.key)
    guest.key.unlink()
    enters(stage, agent).shows("[pairing]")


def test_the_right_key_enters_after_many_others_of_the_agent(
    stage: Stage, guest: Guest, agent: Path
) -> None:
    for number in range(OTHER_KEYS):
        add(stage, agent, Guest(stage, f"other{number}").key)
    add(stage, agent, guest.key)
    guest.key.unlink()
    enters(stage, agent).shows("[pairing]")


def test_a_key_in_a_file_enters_without_an_agent(stage: Stage, guest: Guest) -> None:
    enters(stage, "none", "-o", f"IdentityFile={guest.key}").shows("[pairing]")
