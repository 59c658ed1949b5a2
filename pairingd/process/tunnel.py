"""A program that keeps a tunnel from a machine on the internet to the door, and its output."""

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
_MAX_KEPT_BYTES = 400  # of its last output
_VERBOSE_PREFIXES = (b"debug", b"OpenSSH_", b"Authenticated to ", b"Allocated port ")  # of ssh -v

Process = asyncio.subprocess.Process


class Tunnel(Struct):
    """The relay listens at `host` and `port` for `door_port`, until `ended`.

    `jump` is the relay as the guest's `ssh -J` names it. `strangers`: a third party runs the relay.
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
    """Its standard error is a pipe; `together`: its standard output goes to the same pipe.

    Raises OSError.
    """
    if sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
        command = (setpriv, "--pdeathsig", "TERM", *command)  # no tunnel outlives a killed daemon
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if together else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
    )


async def wait_for(
    tunnel: Tunnel, pattern: re.Pattern[bytes], failure: Callable[[str], Exception]
) -> re.Match[bytes]:
    """Wait until its program prints `pattern`. Otherwise raises `failure` with the reason; then it
    has ended or printed nothing in time.
    """
    matched: asyncio.Future[re.Match[bytes] | None] = asyncio.get_running_loop().create_future()
    tunnel.reading = asyncio.create_task(_read(tunnel, pattern, matched))
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            match = await matched
    except TimeoutError:
        await tunnel.close()
        raise failure("no answer in time") from None
    except asyncio.CancelledError:
        await tunnel.close()
        raise
    if match is None:
        await tunnel.close()
        raise failure("")
    return match


async def _read(
    tunnel: Tunnel, pattern: re.Pattern[bytes], matched: asyncio.Future[re.Match[bytes] | None]
) -> None:
    """Read its output to the end; `matched` gets the match of `pattern`, None if there is none."""
    stream = tunnel.process.stderr or tunnel.process.stdout
    assert stream is not None  # noqa: S101 - it is a pipe
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the stream's limit; at most a banner
            continue
        if not line:
            break
        if (match := pattern.search(line)) and not matched.done():
            matched.set_result(match)
        elif not line.startswith(_VERBOSE_PREFIXES):
            tunnel.output = (tunnel.output + line)[-_MAX_KEPT_BYTES:]
    await tunnel.process.wait()
    tunnel.ended.set()
    if not matched.done():
        matched.set_result(None)


def how_it_ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"
