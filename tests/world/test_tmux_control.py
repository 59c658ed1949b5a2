"""Commands over a connection in control mode, to the real tmux, and answers that a guest forges."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pairingd.world.tmux.control import Answers, Failed, Unsaid
from pairingd.world.tmux.observer import Observer
from tests.newest_tmux import newest_tmux
from tests.raw_terminal import RawTerminal
from tests.waiting import WAIT_S


@pytest.fixture(params=["tmux", "newest tmux"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    command = shutil.which("tmux") if request.param == "tmux" else str(newest_tmux())
    assert command
    directory = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    at = (command, "-f", "/dev/null", "-S", str(directory / "tmux.sock"))
    subprocess.run([*at, "new-session", "-d", "-s", "pairing"], check=True)
    yield command, directory / "tmux.sock"
    subprocess.run([*at, "kill-server"], check=False, capture_output=True)
    shutil.rmtree(directory)


@asynccontextmanager
async def attached(server: tuple[str, Path]) -> AsyncIterator[Observer]:
    observer = Observer(*server, "=pairing")
    watching = asyncio.create_task(
        observer.watch(tuple, lambda: None, lambda: None, lambda *_: None)
    )
    try:
        assert await observer.is_attached()
        yield observer
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        assert watching.cancelled() or watching.exception() is None


async def test_a_tmux_that_cannot_be_started_is_not_waited_for(tmp_path: Path) -> None:
    observer = Observer(str(tmp_path / "gone"), tmp_path / "tmux.sock", "=pairing")
    await observer.watch(tuple, lambda: None, lambda: None, lambda *_: None)
    answer = asyncio.ensure_future(observer.is_attached())
    for _ in range(10):
        await asyncio.sleep(0)
    assert answer.done()
    assert not answer.result()


@pytest.mark.parametrize(
    "value",
    [
        *("plain", "", "é 漢", " spaces ", "a\tb", "'", "''", 'a"b', "\\", "\\\\", "$HOME", "~"),
        *("#{session_name}", "#(date)", "%begin 1 2 1", "-x", "a ; b", "{", "}", "a\\;b", "a=b"),
        *("0123456789abcdef0123456789abcdef", "pairing-end-0123456789abcdef"),
    ],
)
async def test_a_word_arrives_as_it_is(server: tuple[str, Path], value: str) -> None:
    async with attached(server) as observer:
        assert await observer.ask("set-option", "-t", "=pairing:", "@word", value) == ""
        output = await observer.ask("show-options", "-v", "-t", "=pairing:", "@word")
        assert output == f"{value}\n"


async def test_a_semicolon_ends_a_command_as_in_arguments(server: tuple[str, Path]) -> None:
    async with attached(server) as observer:
        await observer.ask(
            "set", "-g", "@one", "a;", "set", "-g", "@two", "b\\;", ";", "set", "@c", "d"
        )
        output = await observer.ask("show", "-gv", "@one", ";", "show", "-gv", "@two")
        assert output == "a\nb;\n"


async def test_a_failed_command_raises_its_error_and_the_next_is_answered(
    server: tuple[str, Path],
) -> None:
    async with attached(server) as observer:
        first, second, third = await asyncio.gather(
            observer.ask("display-message", "-p", "1"),
            observer.ask("show-options", "-t", "=nobody:", ";", "display-message", "-p", "2"),
            observer.ask("display-message", "-p", "3"),
            return_exceptions=True,
        )
        assert (first, third) == ("1\n", "3\n")
        assert isinstance(second, Failed)
        assert "=nobody" in str(second)
        with pytest.raises(Failed, match="unknown command"):
            await observer.ask("no-such-command")


async def test_a_word_with_a_control_character_is_not_sent(server: tuple[str, Path]) -> None:
    async with attached(server) as observer:
        for word in ("two\nlines", "two\rlines", "\x1b[2J", "\0"):
            assert await observer.ask("set-option", "-g", "@word", word) is None


async def test_a_request_has_no_answer_if_the_server_ends(server: tuple[str, Path]) -> None:
    command, socket = server
    async with attached(server) as observer:
        asked = asyncio.create_task(observer.ask("run-shell", "sleep 600"))
        killer = await asyncio.create_subprocess_exec(command, "-S", socket, "kill-server")
        await killer.wait()
        assert await asked is None
        assert await observer.ask("display-message", "-p", "2") is None


async def test_typing_is_noticed_while_tmux_says_something_all_the_time(
    server: tuple[str, Path],
) -> None:
    command, socket = server
    terminal = RawTerminal([command, "-S", str(socket), "attach"], {"TERM": "xterm"}, 80, 24)
    typed = asyncio.Event()
    observer = Observer(*server, "=pairing")
    watching = asyncio.create_task(
        observer.watch(lambda: {"a guest"}, lambda: None, lambda: None, lambda *_: typed.set())
    )
    try:
        assert await observer.is_attached()
        async with asyncio.timeout(WAIT_S):
            while not typed.is_set():
                terminal.sends(b"x\x7f")  # and gone again: a shell is slow with a long line
                assert await observer.ask("display-message", "-p", "1") == "1\n"
                await asyncio.sleep(0.005)  # more lines than any tmux has to say are its end
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        terminal.close()


def block(number: int, text: str, *, how: str = "end", flags: int = 1) -> list[bytes]:
    begin, end = (f"%{word} 17 {number} {flags}\n".encode() for word in ("begin", how))
    return [begin, *(text.encode().splitlines(keepends=True)), end]


async def test_output_of_a_hook_and_a_notification_are_not_taken_for_an_answer() -> None:
    answers = Answers()
    line, answer = asked(answers, "one")
    for line_read in (*block(1, "hook\n", flags=0), *block(2, "yes\n"), *block(3, end_of(line))):
        assert answers.take(line_read)
    assert await answer == "yes\n"
    assert not answers.take(b"%session-changed $1 pairing\n")


async def test_a_forged_end_spoils_one_answer_and_not_the_next() -> None:
    answers = Answers()
    first, forged = asked(answers, "one")
    second, answer = asked(answers, "two")
    hostile = [b"%begin 17 1 1\n", b"%error 17 1 1\n", b"%begin 17 9 1\n", b"more\n"]
    for line_read in (*hostile, b"%end 17 9 1\n", b"%end 17 1 1\n", *block(2, end_of(first))):
        answers.take(line_read)
    for line_read in (*block(3, "true\n"), *block(4, end_of(second))):
        answers.take(line_read)
    with pytest.raises(Failed):
        await forged
    assert await answer == "true\n"


async def test_an_answer_without_end_takes_no_more_than_its_share_of_memory() -> None:
    answers = Answers()
    line, answer = asked(answers, "one")
    for number in (1, 2):
        answers.take(f"%begin 17 {number} 1\n".encode())
        for _ in range(40):
            answers.take(b"x" * (1 << 16))
        answers.take(f"%end 17 {number} 1\n".encode())
    for line_read in block(3, end_of(line)):
        answers.take(line_read)
    assert len(await answer) == 1 << 20


@pytest.mark.attack(
    "a write guest in a box makes tmux report client after client elsewhere, and answer nothing",
    "pairingd keeps a limited number of unanswered commands",
)
async def test_a_tmux_that_answers_nothing_has_a_limited_number_of_commands(
    tmp_path: Path,
) -> None:
    """A guest can have the observer's client in the box become any program."""
    hostile = tmp_path / "tmux"
    line = "%client-session-changed /dev/pts/1 $9"
    hostile.write_text(f"#!/bin/sh\nyes '{line}' | head -n 1000\ncat >/dev/null\n")
    hostile.chmod(0o700)
    observer, lines = Observer(str(hostile), tmp_path / "tmux.sock", "$0"), itertools.count(1)
    all_came = asyncio.Event()

    def came() -> None:
        if next(lines) == 1000:
            all_came.set()

    watching = asyncio.create_task(
        observer.watch(lambda: {"/dev/pts/1"}, came, lambda: None, lambda *_: None)
    )
    try:
        async with asyncio.timeout(WAIT_S):
            await all_came.wait()
            assert await observer.ask("display-message", "-p", "1") is None
    finally:
        watching.cancel()
        await asyncio.wait({watching})


async def test_a_pending_request_fails_when_the_connection_closes() -> None:
    answers = Answers()
    _, answer = asked(answers, "one")
    answers.take(b"%begin 17 1 1\n")
    answers.close()
    with pytest.raises(Unsaid):
        await answer
    assert not answers.take(b"%exit\n")


def asked(answers: Answers, *argv: str) -> tuple[str, asyncio.Future[str]]:
    request = answers.ask(argv)
    assert request
    return request


def end_of(line: str) -> str:
    """What tmux prints for the last command of this line."""
    return f"{line.rsplit(maxsplit=1)[-1]}\n"
