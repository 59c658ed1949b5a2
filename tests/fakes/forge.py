"""A forge on loopback: real HTTP/1.1, scripted path by path, counting what it is asked.

In a test:    async with Forge() as forge: forge.replies["/ann.keys"] = Reply(body=b"…")
By hand:      python -m tests.fakes.forge --port 8080 --dir DIR   serves DIR/NAME.keys
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Self

from msgspec import Struct, field

Stream = Callable[[], AsyncIterator[bytes]]


class Reply(Struct, frozen=True):
    """`body` as a stream is sent chunked, for as long as it lasts. `raw` replaces all of it."""

    body: bytes | Stream = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None


class Request(Struct, frozen=True):
    method: str
    path: str
    headers: Mapping[str, str]


async def drip() -> AsyncIterator[bytes]:
    """A byte now and then, for ever: no read ever times out."""
    while True:
        yield b"#"
        await asyncio.sleep(0.02)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"# and so on\n" * 1000


async def silence() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def self_signed(directory: Path) -> Path:
    """A certificate for 127.0.0.1, with its key in the same file."""
    path, key, public = directory / "forge.pem", directory / "key", directory / "certificate"
    command = (
        "openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=forge -days 2 "
        "-addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [*command.split(), "-keyout", key, "-out", public], check=True, capture_output=True
    )
    path.write_bytes(key.read_bytes() + public.read_bytes())
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def meeting(parties: int, body: bytes) -> Stream:
    """A body that comes only once so many requests are under way at the same time."""
    barrier = asyncio.Barrier(parties)

    async def stream() -> AsyncIterator[bytes]:
        await barrier.wait()
        yield body

    return stream


class Forge:
    """What no reply is scripted for comes from `directory`, else it is 404."""

    def __init__(
        self,
        *,
        directory: Path | None = None,
        listener: socket.socket | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.url = ""
        self._directory = directory
        self._listener = listener
        self._tls = tls
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        listener = self._listener or socket.create_server(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._accept, sock=listener, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    request = _request(head.decode("latin-1"))
                    self.requests.append(request)
                    reply = self.replies.get(request.path) or self._from_directory(request.path)
                    await _send(writer, reply)
                    if reply.raw is not None:
                        break
        finally:
            writer.close()

    def _from_directory(self, path: str) -> Reply:
        name = path.removeprefix("/")
        if self._directory and name.endswith(".keys") and "/" not in name:
            with contextlib.suppress(FileNotFoundError):
                return Reply((self._directory / name).read_bytes())
        return Reply(status=HTTPStatus.NOT_FOUND)


def _request(head: str) -> Request:
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _version = first.split(" ")
    fields = (line.partition(":") for line in lines)
    return Request(method, path, {name.lower(): value.strip() for name, _, value in fields})


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    if reply.raw is not None:
        writer.write(reply.raw)
        await writer.drain()
        return
    if isinstance(reply.body, bytes):
        framing = {"Content-Length": str(len(reply.body))}
    else:
        framing = {"Transfer-Encoding": "chunked"}
    usual = {"Content-Type": "text/plain; charset=utf-8", "Date": formatdate(usegmt=True)}
    headers = {**usual, **framing, **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {reply.status} Scripted\r\n{lines}\r\n".encode())
    if isinstance(reply.body, bytes):
        writer.write(reply.body)
    else:
        async for part in reply.body():
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--dir", type=Path, required=True)
    chosen = arguments.parse_args()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    listener = socket.create_server(("127.0.0.1", chosen.port))
    async with Forge(directory=chosen.dir, listener=listener) as forge:
        print(forge.url, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_main())
