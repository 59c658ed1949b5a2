"""A STUN server over TCP (RFC 8489): tells each connection where it comes from.

In a test:    async with FakeStun() as stun: Hole(stun.address, ...)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
from typing import Self

MAGIC = 0x2112A442


class FakeStun:
    """`told` None: the truth. `reply` replaces the whole answer. `closes` after each answer."""

    def __init__(self, told: tuple[str, int] | None = None, *, reply: bytes | None = None) -> None:
        self.told = told
        self.reply = reply
        self.closes = False
        self.requests: list[tuple[str, int]] = []  # who asked
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, host, port)
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]

    async def __aenter__(self) -> Self:
        await self.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop()
        await self._server.wait_closed()

    def drop(self) -> None:
        """End all connections."""
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readexactly(20)
                peer = writer.get_extra_info("peername")[:2]
                self.requests.append(peer)
                writer.write(self._answer(request[8:], *(self.told or peer)))
                if self.closes:
                    break
        self._open.discard(writer)
        writer.close()

    def _answer(self, transaction: bytes, host: str, port: int) -> bytes:
        if self.reply is not None:
            return self.reply
        mask = struct.pack(">I", MAGIC)
        address = bytes(
            one ^ other for one, other in zip(socket.inet_aton(host), mask, strict=True)
        )
        value = struct.pack(">BBH", 0, 1, port ^ MAGIC >> 16) + address
        attribute = struct.pack(">HH", 0x0020, len(value)) + value
        return struct.pack(">HHI12s", 0x0101, len(attribute), MAGIC, transaction) + attribute


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:3478")
    host, _, port = parser.parse_args().listen.partition(":")
    await FakeStun().start(host, int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
