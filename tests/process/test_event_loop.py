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

# A thread needs room for its stack.
WITHOUT_THREADS = """
import asyncio, resource
from pairingd.process.event_loop import run

async def main():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, resource.RLIM_INFINITY))
    try:
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 22)
    except OSError as error:
        print(error.strerror)

run(main())
"""

# poll(2) refuses more descriptors than may be open.
WITHOUT_DESCRIPTORS = """
import asyncio, resource
from pairingd.process.event_loop import run

async def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    await asyncio.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await asyncio.to_thread(print, "time passes, and then all goes on")

run(main())
"""


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        (HANGS, "another call is done"),
        pytest.param(
            WITHOUT_THREADS,
            "no more threads can be started",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="as Linux limits memory"),
        ),
        (WITHOUT_DESCRIPTORS, "time passes, and then all goes on"),
    ],
    ids=["hanging thread", "without threads", "without descriptors"],
)
def test_a_lack_holds_up_nothing_else(script: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{printed}\n", "")


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
