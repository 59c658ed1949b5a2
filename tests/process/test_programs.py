from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial

import pytest

from pairingd.process.programs import Unended, end, last_words
from tests.waiting import WAIT_S, happens

OBEDIENT = "import time; print(flush=True); time.sleep(3600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"


async def started(script: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(WAIT_S):
        await process.stdout.readline()
    return process


@pytest.mark.parametrize(
    ("script", "seconds", "number"),
    [(OBEDIENT, WAIT_S, signal.SIGTERM), (STUBBORN, 0.05, signal.SIGKILL)],
)
async def test_end_kills_only_a_process_that_ignores_sigterm(
    script: str, seconds: float, number: signal.Signals
) -> None:
    process = await started(script)
    async with asyncio.timeout(2 * WAIT_S):
        await end(process, seconds)
    assert process.returncode == -number


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
async def test_a_cancelled_end_kills_and_is_over_when_the_process_is(*, again: bool) -> None:
    """Also if the loop, which ends, cancels what somebody has cancelled before."""
    process = await started(STUBBORN)
    ending = asyncio.create_task(end(process, WAIT_S))
    for _ in range(1 + again):
        await asyncio.sleep(0)  # it has begun
        ending.cancel()
    await asyncio.wait({ending}, timeout=2 * WAIT_S)
    assert ending.cancelled()
    assert process.returncode == -signal.SIGKILL


async def test_a_stopped_process_ends_too() -> None:
    process = await started(OBEDIENT)
    process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(WAIT_S):
        await end(process, 0.05)
    assert process.returncode is not None


async def test_end_does_not_wait_until_somebody_has_read_what_was_printed() -> None:
    process = await started(f"print(flush=True); print('x' * (1 << 22), flush=True); {OBEDIENT}")
    output = process.stdout
    await happens(lambda: output._paused)  # type: ignore[union-attr]
    ending = asyncio.create_task(end(process, WAIT_S))
    await asyncio.wait({ending}, timeout=WAIT_S)
    assert ending.done()
    assert process.returncode == -signal.SIGTERM
    assert output
    await output.read()  # so that its transport is closed


async def test_end_of_an_ended_process_does_nothing() -> None:
    process = await started("print(flush=True)")
    await process.wait()
    await end(process)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", ""),
        ("\n \n", ""),
        ("a banner\nssh: connection refused\r\n\n", "ssh: connection refused"),
        (b"caf\xc3\xa9 \xff\n", "café �"),
        ("\x1b[2Jgone", "�[2Jgone"),
        ("x" * 500, "x" * 200),
    ],
)
def test_last_words_are_the_last_line_short_and_printable(
    output: str | bytes, expected: str
) -> None:
    assert last_words(output) == expected


def test_of_programs_that_may_not_be_signalled_only_a_few_are_left() -> None:
    unended, over = Unended(), [False] * 8
    for number in range(8):
        assert not unended.are_many("tmux")
        unended.add("tmux", partial(over.__getitem__, number))
    assert unended.are_many("tmux")
    assert not unended.are_many("another")
    over[3] = True
    assert not unended.are_many("tmux")
    over[:] = [True] * 8
    assert not unended.are_many("tmux")


async def test_a_program_that_may_not_be_signalled_is_left_to_itself() -> None:
    """As an account's; here the test's own program becomes another user's."""
    if os.getuid():
        pytest.skip("only root can become another user")
    read, write = os.pipe()
    script = "import os; os.setresuid(64000, 64000, 64000); print(flush=True); input()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=read, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    os.seteuid(65534)
    try:
        assert await end(process, 0.1) is False
    finally:
        os.seteuid(0)
    os.close(write)
    os.close(read)
    await process.wait()
