"""The daemon's side of the guardian: which one hears of a connection, and for how long it stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import psutil
import pytest

from pairingd.world.door.guard import Guard
from tests.guardians import all_rest, guardians_of
from tests.stage import until
from tests.waiting import WAIT_S

GRACE = 3.0  # a busy machine takes a second until it holds
LONG = 3600.0


@contextlib.asynccontextmanager
async def connected(guard: Guard) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process group that has announced itself, and a connection that belongs to it."""
    ours, theirs = socket.socketpair()
    async with guard.commands() as commands:
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", f'echo "{guard.line("$$", GRACE)}"; exec sleep 3600 >/dev/null'),
            stdout=commands.fileno(),
            start_new_session=True,
        )
        guard.take(process.pid, ours)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        guard.release(process.pid)
        ours.close()
        theirs.close()


def guardians() -> list[psutil.Process]:
    return guardians_of(os.getpid())


async def left() -> None:
    """Wait until the guardian has left, because nobody is connected."""
    await asyncio.to_thread(until, lambda: not guardians(), "the guardian has left")
    await all_rest()


async def test_connections_that_come_at_once_have_the_same_guardian() -> None:
    guard = Guard(linger_s=0.0)
    async with contextlib.AsyncExitStack() as stack:

        async def held() -> asyncio.subprocess.Process:
            process = await stack.enter_async_context(connected(guard))
            guard.hold(process.pid, LONG)  # at once: the others may take long to come
            return process

        entered = [*(held() for _ in range(3)), stack.enter_async_context(connected(guard))]
        *stay, leaves = await asyncio.gather(*entered)
        await asyncio.wait_for(leaves.wait(), WAIT_S)  # announced beside the others, never held
        assert [process.returncode for process in stay] == [None] * 3
        assert len(guardians()) == 1
    await left()


async def test_a_guardian_does_not_leave_while_a_connection_is_about_to_be_taken() -> None:
    guard = Guard(linger_s=0.0)
    async with guard.commands() as commands:
        async with connected(guard):
            pass
        async with connected(guard):
            assert commands.fileno() != -1
    await left()


# What is sent and not received counts for its user, as all that a guest in a box sends does for
# the host. More than they may have open can be exceeded with some privileges, which root has.
WITHOUT_SOCKETS = """
import asyncio, contextlib, resource, socket
from pairingd.world.door.guard import Guard

async def main():
    ours, theirs = socket.socketpair()
    guard = Guard(linger_s=0.0)
    async with guard.commands() as commands:
        process = await asyncio.create_subprocess_exec("sleep", "3600", start_new_session=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        with contextlib.suppress(OSError):
            while True:
                socket.send_fds(theirs, [b"-"], [ours.fileno()] * 64)
        guard.hold(process.pid, 0.0)
        guard.take(process.pid, ours)
    await process.wait()
    print("ended by the same one:", guard._commands is commands)
    guard.release(process.pid)
    await guard._process.wait()  # asyncio would complain of one that ends after it

asyncio.run(main())
"""


@pytest.mark.attack(
    "a write guest in a box passes on more descriptors than a user may, so that no socket is passed",
    "the guardian stays, and ends every connection on time",
)
@pytest.mark.skipif(not shutil.which("setpriv"), reason="Linux counts them so")
def test_a_guardian_that_gets_no_sockets_ends_connections_all_the_same() -> None:
    bound = ("setpriv", "--bounding-set=-sys_resource,-sys_admin") if os.geteuid() == 0 else ()
    script = (*bound, sys.executable, "-c", WITHOUT_SOCKETS)
    done = subprocess.run(script, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.stdout, done.stderr) == ("ended by the same one: True\n", "")


async def test_a_guardian_that_starts_hears_of_every_connection_however_many() -> None:
    """More than fit into the socket at once, one by one."""
    guard, groups = Guard(linger_s=0.0), range(10**8, 10**8 + 500)  # no processes have these ids
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for group in groups:
            guard.hold(group, LONG)
            guard.take(group, ours)
        async with guard.commands():
            [first] = await asyncio.to_thread(until, guardians, "there is one")
            await asyncio.to_thread(
                until, lambda: first.num_fds() >= len(groups), "it has all sockets"
            )
        for group in groups:
            guard.release(group)
    await left()
