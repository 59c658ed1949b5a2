from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from pairingd.process.tunnel import Program, Tunnel, start, wait_for
from tests.waiting import WAIT_S

CHUNK_BYTES, PAUSE_S = 65536, 0.05  # at most so much is read in each pause
AHEAD = 8 * CHUNK_BYTES  # of what is read: in the pipe, in the reader, and before the first pause


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="Linux counts what is written")
async def test_a_program_that_prints_without_end_does_not_occupy_the_reader() -> None:
    began = time.monotonic()
    program = await start("sh", "-c", "echo here; exec yes", together=True)
    tunnel = Tunnel("", 0, 0, program)
    try:
        async with asyncio.timeout(WAIT_S):
            assert await wait_for(tunnel, re.compile(rb"here"), AssertionError)
            while not tunnel.output.endswith(b"y\n"):  # noqa: ASYNC110 - the output has no event
                await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(20 * PAUSE_S)
        printed = written(program.process.pid)
        assert printed < (time.monotonic() - began) / PAUSE_S * CHUNK_BYTES + AHEAD
    finally:
        async with asyncio.timeout(WAIT_S):
            await tunnel.close()


async def test_a_start_that_is_cancelled_leaves_no_pipe() -> None:
    await Tunnel("", 0, 0, await start("sleep", "3600")).close()  # what is kept is made by now
    before = {*Path("/dev/fd").iterdir()}
    for turns in range(10):
        starting = asyncio.create_task(start("sleep", "3600"))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        [outcome] = await asyncio.gather(starting, return_exceptions=True)
        if isinstance(outcome, Program):
            await Tunnel("", 0, 0, outcome).close()
        await asyncio.sleep(0)  # the loop closes a pipe in its next turn
        assert {*Path("/dev/fd").iterdir()} == before


def written(pid: int) -> int:
    """How many bytes the program has written: proc_pid_io(5)."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["wchar"])
