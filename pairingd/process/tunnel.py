"""A program that keeps a tunnel from a machine on the internet to the door, and what it says."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

from msgspec import Struct, field

from pairingd.process.programs import end

_START_TIMEOUT_S = 20.0  # from the start of the program until the relay listens
_END_TIMEOUT_S = 2.0  # from SIGTERM to SIGKILL
_KEPT = 400  # bytes of its last words
_CHATTER = (b"debug", b"OpenSSH_", b"Authenticated to ", b"Allocated port ")  # of ssh -v

Process = asyncio.subprocess.Process


class Tunnel(Struct):
    """The relay listens at `host` and `port` for `door_port`, until `ended`.

    `jump` is the relay as the guest's `ssh -J` names it. `strangers`: it is not the user's own.
    """

    host: str
    port: int
    door_port: int
    process: Process
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    jump: str = ""
    strangers: bool = False
    output: bytes = b""
    reading: asyncio.Task[None] | None = None

    async def close(self) -> None:
        await end(self.process, _END_TIMEOUT_S)
        if self.reading:
            await self.reading


async def start(*command: str, together: bool = False) -> Process:
    """Its standard error is a pipe; `together` with its standard output, which is one then.

    Raises OSError.
    """
    if sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
        command = (setpriv, "--pdeathsig", "TERM", *command)  # a killed daemon leaves none
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if together else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
    )


async def wait_for(
    tunnel: Tunnel, words: re.Pattern[bytes], failure: Callable[[str], Exception]
) -> re.Match[bytes]:
    """Until its program says these words. Raises `failure` of why it does not; it has ended then,
    or never spoke in time.
    """
    said: asyncio.Future[re.Match[bytes] | None] = asyncio.get_running_loop().create_future()
    tunnel.reading = asyncio.create_task(_read(tunnel, words, said))
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            found = await said
    except TimeoutError:
        await tunnel.close()
        raise failure("no answer in time") from None
    except asyncio.CancelledError:
        await tunnel.close()
        raise
    if found is None:
        await tunnel.close()
        raise failure("")
    return found


async def _read(
    tunnel: Tunnel, words: re.Pattern[bytes], said: asyncio.Future[re.Match[bytes] | None]
) -> None:
    """Follow what it says to its end; `said` is where it says `words`, None where it has not."""
    stream = tunnel.process.stderr or tunnel.process.stdout
    assert stream is not None  # noqa: S101 - it is a pipe
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the stream's limit; a banner at the most
            continue
        if not line:
            break
        if (found := words.search(line)) and not said.done():
            said.set_result(found)
        elif not line.startswith(_CHATTER):
            tunnel.output = (tunnel.output + line)[-_KEPT:]
    await tunnel.process.wait()
    tunnel.ended.set()
    if not said.done():
        said.set_result(None)


def how_it_ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"
