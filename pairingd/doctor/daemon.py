"""The state of the running daemon, from its control socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct, field

from pairingd import __version__
from pairingd.errors import PairingError
from pairingd.machine import peer
from pairingd.protocol import wire

_TIMEOUT_S = 10.0
_MAX_REPLY_BYTES = 16 * wire.MAX_FRAME
_VERSIONS = {"version": __version__, "protocol": wire.PROTOCOL}


class Daemon(Struct, frozen=True):
    """`connected`: our daemon listens on `socket`. `version` is "" if it did not answer.

    `refused`: why nothing was sent to the socket, which may be another user's.
    """

    connected: bool = False
    socket: str = ""
    version: str = ""
    pid: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    refused: PairingError | None = None

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The warnings in its status, and the error of its mapping."""
        error = (self.status.get("mapping") or {}).get("error")
        return [*self.status.get("warnings", ()), *([error] if error else ())]

    @property
    def external_port(self) -> int | None:
        """The port of its mapping on the router."""
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
    """The result of `method`; empty if it does not answer, or does not know the method."""
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
    """To our own daemon, for at most _TIMEOUT_S."""
    async with asyncio.timeout(_TIMEOUT_S):
        connection = await asyncio.to_thread(peer.connect, socket, _TIMEOUT_S)
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_MAX_REPLY_BYTES)
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
