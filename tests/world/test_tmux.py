from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from pairingd.core.confine import TmuxClient, Weigh
from pairingd.core.records import replace
from pairingd.errors import WorldError
from pairingd.machine import which
from pairingd.world.tmux import Running, Tmux
from pairingd.world.tmux.clients import MAX_CLIENTS
from pairingd.world.tmux.commands import client_hooks
from tests.newest_tmux import newest_tmux
from tests.raw_terminal import RawTerminal
from tests.stage import until
from tests.waiting import WAIT_S, happens


@pytest.fixture
def socket() -> Iterator[Path]:
    directory = tempfile.mkdtemp(prefix="pairing-", dir="/tmp")
    path = Path(directory) / "tmux.sock"
    yield path
    tmux(path, "kill-server")
    shutil.rmtree(directory)


def tmux(socket: Path, *arguments: str, command: str = "tmux") -> str:
    argv = (command, "-f", "/dev/null", "-S", str(socket), *arguments)
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout


async def test_a_session_is_running_until_it_or_its_server_is_gone(socket: Path) -> None:
    observed = Tmux("", socket, "pairing")
    assert await observed.running() is Running.NO
    tmux(socket, "new-session", "-d", "-s", "pairing")
    assert await observed.running() is Running.YES
    assert await Tmux("", socket, "pair").running() is Running.NO
    server = int(tmux(socket, "display-message", "-p", "#{pid}"))
    os.kill(server, signal.SIGKILL)
    until(lambda: not tmux(socket, "ls"), "the server is gone")
    assert socket.exists()
    assert await observed.running() is Running.NO


@pytest.mark.parametrize("which_tmux", ["tmux", "newest tmux"])
async def test_a_suspended_client_is_known_and_one_that_has_gone_is_not(
    socket: Path, which_tmux: str
) -> None:
    command = str(shutil.which("tmux") if which_tmux == "tmux" else newest_tmux())
    tmux(socket, "new-session", "-d", "-s", "pairing", command=command)
    observed = Tmux(command, socket, "pairing")
    assert await observed.running() is Running.YES
    terminal = RawTerminal([command, "-S", str(socket), "attach"], {"TERM": "xterm"}, 80, 24)
    try:
        known = await clients_once(observed, lambda listed: any(one.rows for one in listed))
        names = {client.name for client in known}
        tmux(socket, "suspend-client", "-t", *names, command=command)
        (still,) = await observed.clients(names)
        assert [still] == [replace(one, rows=still.rows) for one in known]  # it has none then
    finally:
        terminal.close()
    assert await clients_once(observed, lambda listed: not listed, names) == []
    tmux(socket, "kill-server", command=command)


@pytest.mark.parametrize("which_tmux", ["tmux", "newest tmux"])
async def test_a_window_shrinks_as_soon_as_the_larger_client_does_not_count(
    socket: Path, which_tmux: str
) -> None:
    """With `window-size largest`. The end of any tmux client would have tmux size windows anew."""
    command = str(shutil.which("tmux") if which_tmux == "tmux" else newest_tmux())
    size = socket.with_name("size")
    tells = f"while stty size >{size}; do sleep 0.1; done"
    tmux(socket, "new-session", "-d", "-s", "pairing", tells, command=command)
    tmux(socket, "set-option", "-g", "window-size", "largest", command=command)
    observed = Tmux(command, socket, "pairing")
    assert await observed.running() is Running.YES
    observer = observed.observer()
    watching = asyncio.create_task(observer.watch(tuple, *[lambda *_: None] * 3))
    attach = [command, "-S", str(socket), "attach"]
    sizes = ((80, 24), (200, 50))
    terminals = [RawTerminal(attach, {"TERM": "xterm"}, *one) for one in sizes]
    try:
        assert await observer.is_attached()
        listed = await clients_once(observed, lambda seen: {24, 50} <= {one.rows for one in seen})
        await happens(lambda: size.read_text() == "49 200\n")
        (large,) = (client.name for client in listed if client.rows == 50)
        await observed.steer([Weigh(large, counts=False)])
        await happens(lambda: size.read_text() == "23 80\n")
    finally:
        for terminal in terminals:
            terminal.close()
        watching.cancel()
        await asyncio.wait({watching})
        tmux(socket, "kill-server", command=command)


async def clients_once(
    observed: Tmux, fits: Callable[[list[TmuxClient]], bool], known: Collection[str] = ()
) -> list[TmuxClient]:
    async with asyncio.timeout(WAIT_S):
        while not fits(listed := await observed.clients(known)):  # noqa: ASYNC110 - as `happens`
            await asyncio.sleep(0.01)
    return listed


async def test_a_session_may_run_on_although_no_tmux_is_installed_any_more(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmux(socket, "new-session", "-d", "-s", "pairing")
    observed = Tmux("", socket, "pairing")
    with monkeypatch.context() as uninstalled:
        uninstalled.setenv("PATH", "")
        uninstalled.setattr(which, "_INSTALL_DIRECTORIES", ())
        assert await observed.running() is Running.UNKNOWN
        with pytest.raises(WorldError, match="no tmux"):
            await observed.clients()
    assert await observed.running() is Running.YES


@pytest.mark.parametrize(
    ("reason", "running"),
    [
        ("No such file or directory", Running.NO),
        ("Connection refused", Running.NO),
        ("Permission denied", Running.UNKNOWN),
        ("Too many open files", Running.UNKNOWN),
    ],
)
async def test_a_server_that_cannot_be_reached_is_not_one_that_is_gone(
    socket: Path, reason: str, running: Running
) -> None:
    socket.touch()
    command = socket.with_name("tmux")
    command.write_text(f"#!/bin/sh\necho 'error connecting to {socket} ({reason})' >&2\nexit 1\n")
    command.chmod(0o700)
    assert await Tmux(str(command), socket, "pairing").running() is running


async def test_a_renamed_session_calls_the_observer_and_what_windows_do_does_not(
    socket: Path,
) -> None:
    tmux(socket, "-f", "/dev/null", "new-session", "-d", "-s", "pairing")
    tmux(socket, "new-session", "-d", "-s", "another")
    shared = Tmux("", socket, "pairing")
    assert await shared.running() is Running.YES
    observer = shared.observer()
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    async def renames_session(name: str) -> None:
        before = changes
        tmux(socket, "rename-session", "-t", shared.target, name)
        async with asyncio.timeout(WAIT_S):
            while changes == before:  # noqa: ASYNC110 - `changed` is the callback
                await asyncio.sleep(0.01)

    watching = asyncio.create_task(observer.watch(tuple, changed, lambda: None, lambda *_: None))
    try:
        assert await observer.is_attached()
        for name in ("what", "came", "before"):  # it was heard of attaching, too
            await renames_session(name)
        settled = changes
        for name in ("vi", "sh"):
            for target in (f"{shared.target}:", "=another:"):
                tmux(socket, "rename-window", "-t", target, name)
                tmux(socket, "new-window", "-n", name, "-t", target)
                tmux(socket, "copy-mode", "-t", target)
                tmux(socket, "select-window", "-t", f"{target}^")
                tmux(socket, "kill-window", "-t", f"{target}$")
        tmux(socket, "set-buffer", "text")
        await renames_session("pairing")
        assert changes == settled + 1
    finally:
        watching.cancel()
        await asyncio.wait({watching})


@pytest.mark.parametrize(
    "answer",
    [
        *("", "x", "0 ", "0 x", f"0 {'9' * 5000}", "1\t2", "\t" * 12, "\0\xff"),
        "\t".join(("9" * 5000, "0", "0", "9" * 5000, "1", "", "/dev/pts/1", "$0")),
        "[pairing: the next value]\n" * 3,
        "[pairing: the next value]\n".join(("9" * 5000, "\xb2", *("9" * 5000,) * 11, "on 1")),
    ],
)
async def test_what_a_false_server_says_ends_nothing(socket: Path, answer: str) -> None:
    """A guest who may write owns the server of a box, and of an account."""
    false = false_server(socket, answer)
    for ask in (
        *(false.running, false.clients, false.terminals, false.typed_at, false.shows_dead_pane),
        *(false.confine, false.keys_that_detach, false.status_right().give_back),
        lambda: false.status_right().extend({"80": "x"}, ""),
        lambda: false.tell("/dev/pts/1", "hello"),
    ):
        with contextlib.suppress(WorldError):
            await ask()


async def test_a_false_server_has_a_limited_number_of_clients(socket: Path) -> None:
    line = "2\t0\t0\t80\t24\t\t/dev/pts/1\t$0"
    listed = await false_server(socket, f"{line}\n" * (MAX_CLIENTS + 1)).clients()
    assert len(listed) == MAX_CLIENTS


def test_a_false_server_has_a_limited_number_of_hooks() -> None:
    names = map("".join, itertools.product("abcdefgh", repeat=3))
    assert len(client_hooks("".join(f"client-{name}\n" for name in names))) < 100


def false_server(socket: Path, answer: str) -> Tmux:
    socket.touch()
    output, command = socket.with_name("said"), socket.with_name("tmux")
    output.write_text(answer)
    command.write_text(f"#!/bin/sh\ncat {output}\n")
    command.chmod(0o700)
    return Tmux(str(command), socket, "pairing")


async def test_no_more_is_kept_of_what_tmux_reports_than_any_tmux_has_to_report(
    socket: Path,
) -> None:
    tmux(socket, "new-session", "-d", "-s", "pairing")
    forged = {
        "list-clients": "\n".join(f"1\t0\t0\t80\t24\t\tc{n}\t$0" for n in range(5000)),
        "show-options": "C-b" * 5000,
    }
    script = socket.with_name("forged")
    for number, (command, text) in enumerate(forged.items()):
        script.write_text(f"set-option -g @text{number} '{text}'\n")
        tmux(socket, "source-file", str(script))
        alias = f"{command}=show-options -gqv @text{number} ; {command}"
        tmux(socket, "set-option", "-s", f"command-alias[{90 + number}]", alias)
    observed = Tmux("", socket, "pairing")
    assert await observed.running() is Running.YES
    assert len(await observed.clients()) == MAX_CLIENTS
    assert await observed.keys_that_detach() == f"Ctrl-{('C-b' * 8)[2:20]} d"
