"""What the running daemon says of itself, asked over its control socket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from pairingd import __version__, peer
from pairingd.errors import PairingError
from pairingd.protocol import wire

_SECONDS = 5.0
_LONGEST_REPLY = 16 * wire.MAX_FRAME


@dataclass(frozen=True, slots=True)
class Daemon:
    """`connected`: our daemon listens on the socket. `version` is "" where it did not say.

    `refused`: why nothing was said to what is there, which may be another user's.
    """

    connected: bool = False
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
        async with asyncio.timeout(_SECONDS):
            ours = await asyncio.to_thread(peer.connect, socket, _SECONDS)
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST_REPLY)
            connected = True
            try:
                versions = {"version": __version__, "protocol": wire.PROTOCOL}
                hello = await _call(reader, writer, "hello", versions)
                status = await _call(reader, writer, "status", {})
            finally:
                writer.close()
    except PairingError as error:
        return Daemon(refused=error)
    except (OSError, ValueError, asyncio.IncompleteReadError):
        pass
    pid = hello.get("pid")
    version = str(hello.get("version", ""))
    return Daemon(connected, version, pid if isinstance(pid, int) else 0, status)


async def _call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, params: dict[str, Any]
) -> dict[str, Any]:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    writer.write(json.dumps(request).encode() + b"\n")
    reply = json.loads(await reader.readline())
    result = reply.get("result") if isinstance(reply, dict) else None
    return result if isinstance(result, dict) else {}
