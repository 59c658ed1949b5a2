"""What an invited guest's ssh is told that asks for anything but a terminal. Real daemon and ssh."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.stage import Guest, Stage
from tests.waiting import WAIT_S

WITHOUT_A_COMMAND = "use ssh without a command, or -o RemoteCommand=none"
WITH_A_TERMINAL = "use ssh -t"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module")
def guest(stage: Stage) -> Guest:
    guest = stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.door = stage.asks("status")["door"]["port"]
    return guest


def told(stage: Stage, guest: Guest, options: tuple[str, ...], words: tuple[str, ...]) -> str:
    done = stage.run(*guest.ssh(*options, port=stage.door), *words, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        (("-T",), (), WITH_A_TERMINAL),
        (("-o", "RequestTTY=no"), (), WITH_A_TERMINAL),
        ((), ("id",), WITHOUT_A_COMMAND),
        (("-T",), ("id",), WITHOUT_A_COMMAND),
        (("-o", "RemoteCommand=id"), (), WITHOUT_A_COMMAND),
    ],
    ids=["-T", "RequestTTY no", "a command", "-T and a command", "RemoteCommand"],
)
def test_a_guest_who_requests_no_terminal_sees_what_to_change(
    stage: Stage, guest: Guest, options: tuple[str, ...], words: tuple[str, ...], hint: str
) -> None:
    said = told(stage, guest, options, words)
    assert [one for one in (WITH_A_TERMINAL, WITHOUT_A_COMMAND) if one in said] == [hint]
    assert [line for line in said.splitlines() if len(line) > 80] == []


def test_the_hint_for_request_tty_no_is_right(stage: Stage, guest: Guest) -> None:
    """ssh(1): -t on the command line wins over RequestTTY."""
    screen = stage.terminal(*guest.ssh("-t", "-o", "RequestTTY=no", port=stage.door))
    screen.shows("pairing")
    screen.presses("C-b", "d")
    assert screen.ended() == 0


def test_the_hint_for_remote_command_is_right(stage: Stage, guest: Guest) -> None:
    """As with `RemoteCommand id` in their ssh_config: the command line comes first."""
    command = guest.ssh("-o", "RemoteCommand=none", "-o", "RemoteCommand=id", port=stage.door)
    screen = stage.terminal(*command)
    screen.shows("pairing")
    screen.presses("C-b", "d")
    assert screen.ended() == 0


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        (("scp", "-O"), WITHOUT_A_COMMAND),
        (("scp",), "subsystem request failed"),
        (("sftp",), "subsystem request failed"),
    ],
    ids=["scp's old protocol", "scp", "sftp"],
)
def test_copying_files_is_refused(
    stage: Stage, guest: Guest, copy: tuple[str, ...], words: str
) -> None:
    *command, host = guest.ssh(port=stage.door)
    options = [{"-p": "-P"}.get(word, word) for word in command[1:]]
    where = [f"{host}:/etc/hostname", str(stage.path / "copied")]
    done = stage.run(*copy, *options, *where, check=False)
    assert done.returncode != 0
    assert words in done.stderr
    assert not (stage.path / "copied").exists()


@pytest.mark.waits
def test_a_connection_without_a_session_is_let_go_quietly(stage: Stage, guest: Guest) -> None:
    """`ssh -N` asks for nothing, so nothing can be said to it before it is ended."""
    command = guest.ssh("-N", port=stage.door)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 255
    assert b"command" not in done.stdout
