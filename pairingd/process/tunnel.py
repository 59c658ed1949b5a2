"""A program that keeps a tunnel from a machine on the internet to the door, and its output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable

from msgspec import Struct, field

from pairingd.process.mortal import mortal
from pairingd.process.programs import end

_START_TIMEOUT_S = 20.0  # from the start of the program until the relay listens
_END_TIMEOUT_S = 2.0  # from SIGTERM to SIGKILL
_DRAIN_TIMEOUT_S = 0.5  # what it started may hold its output open
_MAX_KEPT_BYTES = 400  # of its last output
# A relay may be a stranger's, and so is what its program prints.
MAX_LINE_BYTES = 2048  # searched: a regular expression may take the square of it, or more
_MAX_CHUNK_BYTES = 65536
_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")  # ECMA-48 §8.3.117
_FLOOD_PAUSE_S = 0.05  # after so much at once
_VERBOSE_PREFIXES = (b"debug", b"OpenSSH_", b"Authenticated to ", b"Allocated port ")  # of ssh -v


class Program(Struct):
    """It leads a process group of its own, which ends with it. `output` is a pipe of ours, not
    asyncio's, whose Process.wait also waits (3.11) for children that hold such a pipe.
    """

    process: asyncio.subprocess.Process
    output: asyncio.StreamReader
    pipe: asyncio.ReadTransport

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Tunnel(Struct):
    """The relay listens at `host` and `port` for `door_port`, until `ended`.

    `jump` is the relay as the guest's `ssh -J` names it. `strangers`: a third party runs the relay.
    """

    host: str
    port: int
    door_port: int
    program: Program
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    jump: str = ""
    strangers: bool = False
    output: bytes = b""
    following: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self.program.process.pid

    @property
    def status(self) -> int | None:
        """How the program ended, as subprocess.Popen.returncode."""
        return self.program.process.returncode

    async def close(self) -> None:
        """End the program and its children."""
        if self.status is None:
            self.program.signal(signal.SIGTERM)
        await end(self.program.process, _END_TIMEOUT_S)
        if self.following:
            await self.following
        self.program.pipe.close()


async def start(*command: str, together: bool = False) -> Program:
    """Its standard error is a pipe; `together`: its standard output goes to the same pipe.

    Raises OSError.
    """
    argv, inherited = await mortal(*command)  # no tunnel outlives a killed daemon
    read_end, write_end = os.pipe()
    output = asyncio.StreamReader(limit=_MAX_CHUNK_BYTES)
    protocol = asyncio.StreamReaderProtocol(output)
    with os.fdopen(write_end, "wb") as printed:
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(read_end, "rb", buffering=0)
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=subprocess.DEVNULL,
                stdout=printed if together else subprocess.DEVNULL,
                stderr=printed,
                pass_fds=inherited,
                process_group=0,
            )
        except BaseException:
            pipe.close()
            raise
    return Program(process, output, pipe)


async def wait_for(
    tunnel: Tunnel, pattern: re.Pattern[bytes], failure: Callable[[str], Exception]
) -> re.Match[bytes]:
    """Wait until its program prints `pattern`. Otherwise raises `failure` with the reason; then it
    has ended or printed nothing in time.
    """
    matched: asyncio.Future[re.Match[bytes] | None] = asyncio.get_running_loop().create_future()
    tunnel.following = asyncio.create_task(_follow(tunnel, pattern, matched))
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


async def _follow(
    tunnel: Tunnel, pattern: re.Pattern[bytes], matched: asyncio.Future[re.Match[bytes] | None]
) -> None:
    """Return once the program has ended; `matched` gets the match of `pattern` in its output, None
    if there is none.
    """
    reading = asyncio.create_task(_read(tunnel, pattern, matched))
    await tunnel.program.process.wait()
    tunnel.program.signal(signal.SIGKILL)  # what it has left
    await asyncio.wait({reading}, timeout=_DRAIN_TIMEOUT_S)
    reading.cancel()
    tunnel.ended.set()
    if not matched.done():
        matched.set_result(None)


async def _read(
    tunnel: Tunnel, pattern: re.Pattern[bytes], matched: asyncio.Future[re.Match[bytes] | None]
) -> None:
    begun = b""
    while data := await tunnel.program.output.read(_MAX_CHUNK_BYTES):
        *lines, begun = (begun + data).split(b"\n")
        begun = begun[:MAX_LINE_BYTES]
        for line in lines:
            _note(tunnel, line[:MAX_LINE_BYTES], pattern, matched)
        if len(data) > MAX_LINE_BYTES:  # the program waits meanwhile
            await asyncio.sleep(_FLOOD_PAUSE_S)
    _note(tunnel, begun, pattern, matched)


def _note(
    tunnel: Tunnel,
    line: bytes,
    pattern: re.Pattern[bytes],
    matched: asyncio.Future[re.Match[bytes] | None],
) -> None:
    line = _COLOURS.sub(b"", line)
    if not matched.done() and (match := pattern.search(line)):
        matched.set_result(match)
    elif not line.startswith(_VERBOSE_PREFIXES):
        tunnel.output = (tunnel.output + line + b"\n")[-_MAX_KEPT_BYTES:]


def how_it_ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"
