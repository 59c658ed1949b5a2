"""What the running daemon says of itself, asked over its control socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct, field

from pairingd import __version__, peer
from pairingd.errors import PairingError
from pairingd.protocol import wire

_SECONDS = 10.0
_LONGEST_REPLY = 16 * wire.MAX_FRAME
_VERSIONS = {"version": __version__, "protocol": wire.PROTOCOL}


class Daemon(Struct, frozen=True):
    """`connected`: our daemon listens on `socket`. `version` is "" where it did not say.

    `refused`: why nothing was said to what is there, which may be another user's.
    """

    connected: bool = False
    socket: str = ""
    version: str = ""
    pid: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    refused: PairingError | None = None

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The warnings of its status, and the error of its mapping."""
        error = (self.status.get("mapping") or {}).get("error")
        return [*self.status.get("warnings", ()), *([error] if error else ())]

    @property
    def external_port(self) -> int | None:
        """That its own mapping holds on the router."""
        mapping = self.status.get("mapping") or {}
        return mapping.get("external_port")


async def ask(socket: str) -> Daemon:
    """Never raises: a daemon that cannot answer is a finding."""
    connected, hello, status = False, {}, {}
    try:
        async with _connection(socket) as (reader, writer):
            connected = True
            hello = await _call(reader, writer, "hello", _VERSIONS)
            status = await _call(reader, writer, "status", {})
    except PairingError as error:
        return Daemon(refused=error)
    except (OSError, ValueError, asyncio.IncompleteReadError):
        pass
    pid = hello.get("pid")
    version = str(hello.get("version", ""))
    return Daemon(connected, socket, version, pid if isinstance(pid, int) else 0, status)


async def call(socket: str, method: str) -> dict[str, Any]:
    """What it answers to `method`; empty where it cannot, or is of a version without it."""
    try:
        async with _connection(socket) as (reader, writer):
            await _call(reader, writer, "hello", _VERSIONS)
            return await _call(reader, writer, method, {})
    except (PairingError, OSError, ValueError, asyncio.IncompleteReadError):
        return {}


@asynccontextmanager
async def _connection(
    socket: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """To our own daemon, for at most _SECONDS."""
    async with asyncio.timeout(_SECONDS):
        ours = await asyncio.to_thread(peer.connect, socket, _SECONDS)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST_REPLY)
        try:
            yield reader, writer
        finally:
            writer.close()


async def _call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, params: dict[str, Any]
) -> dict[str, Any]:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    writer.write(json.dumps(request).encode() + b"\n")
    reply = json.loads(await reader.readline())
    result = reply.get("result") if isinstance(reply, dict) else None
    return result if isinstance(result, dict) else {}
