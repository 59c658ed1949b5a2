from __future__ import annotations

import asyncio
import re
import time

from pairingd.process.tunnel import Tunnel, start, wait_for
from tests.waiting import WAIT_S

MOST_CPU_S = 0.5  # of this process, in 20 pauses of 0.05 s; without a pause it was 2 s


async def test_a_program_that_prints_without_end_does_not_occupy_the_reader() -> None:
    tunnel = Tunnel("", 0, 0, await start("sh", "-c", "echo here; exec yes", together=True))
    async with asyncio.timeout(WAIT_S):
        assert await wait_for(tunnel, re.compile(rb"here"), AssertionError)
    began = time.process_time()
    for _ in range(20):
        await asyncio.sleep(0.05)
    assert time.process_time() - began < MOST_CPU_S
    assert tunnel.output.endswith(b"y\n")
    async with asyncio.timeout(WAIT_S):
        await tunnel.close()
