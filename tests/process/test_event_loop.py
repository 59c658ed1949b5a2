from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from functools import partial

import pytest

from pairingd.process.event_loop import in_own_thread, run
from tests.waiting import WAIT_S

HANGS = """
import asyncio, threading
from pairingd.process.event_loop import in_own_thread, run

async def main():
    hung = [asyncio.create_task(in_own_thread(threading.Event().wait)) for _ in range(40)]
    await asyncio.sleep(0)
    await asyncio.to_thread(print, "another call is done")
    for task in hung:
        task.cancel()
    await asyncio.wait(hung)

run(main())
"""


def test_calls_that_hang_hold_up_neither_another_call_nor_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "another call is done\n", "")


async def test_a_call_returns_its_result_or_raises_its_error() -> None:
    assert await in_own_thread(partial(int, "7")) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await in_own_thread(partial(int, "seven"))


def test_names_are_looked_up_as_asyncio_does() -> None:
    async def look_up() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            both = (loop.getaddrinfo("127.0.0.1", 22, type=socket.SOCK_STREAM) for _ in range(2))
            for found in await asyncio.gather(*both):
                assert [entry[4] for entry in found] == [("127.0.0.1", 22)]
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("127.0.0.1", "no such service")
        for name in ("a..b", 64 * "a"):  # for which asyncio raises UnicodeError
            with pytest.raises(socket.gaierror):
                await loop.getaddrinfo(name, 22)

    run(look_up())
