"""An HTTP proxy on loopback: CONNECT and a tunnel (RFC 9110 §9.3.6), counting who it led where.

In a test:    async with Proxy() as proxy: monkeypatch.setenv("https_proxy", proxy.url)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Proxy:
    """With `reply` it refuses every CONNECT with these bytes; with b"" it never answers."""

    def __init__(self, reply: bytes | None = None) -> None:
        self.reply = reply
        self.targets: list[str] = []
        self.heads: list[str] = []
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = f"http://{self.address}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with contextlib.AsyncExitStack() as closing:
                closing.callback(writer.close)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.heads.append(head)
                self.targets.append(head.split(" ")[1])
                if self.reply == b"":
                    await asyncio.Event().wait()
                elif self.reply is not None:
                    writer.write(self.reply)
                    await writer.drain()
                else:
                    await self._tunnel(self.targets[-1], reader, writer)

    async def _tunnel(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()
