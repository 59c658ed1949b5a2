"""The Unix socket: frames in, verbs called, frames out. Nothing a client sends ends the daemon."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from pairingd import peer, report, rpc
from pairingd.errors import PairingError
from pairingd.intent import Intent
from pairingd.protocol import methods, results, wire
from pairingd.store import Happening

log = logging.getLogger(__name__)

# A method by its name, with a record of what it takes; and where to tell of its progress.
Call = Callable[[str, object, Callable[[results.Progress], None]], Awaitable[Any]]

MAX_CONNECTIONS = 64
HELLO_SECONDS = 5.0


class ControlServer:
    """Answers with `call`. Each connection is its own task; its requests are answered in order.

    Of more than `limit` connections the one that is needed least gives way to the newcomer, so that
    whoever holds connections open keeps nobody from `revoke`.
    """

    def __init__(
        self,
        call: Call,
        intent: Intent,
        *,
        limit: int = MAX_CONNECTIONS,
        hello_seconds: float = HELLO_SECONDS,
    ) -> None:
        self._call = call
        self._intent = intent
        self._limit = limit
        self._hello_seconds = hello_seconds
        self._server: asyncio.Server | None = None
        self._open: set[_Conversation] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=rpc.CHUNK)

    async def close(self) -> None:
        """No new requests; every connection is closed."""
        if self._server:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        if not peer.is_ours(writer.get_extra_info("socket")):
            writer.close()
            return
        conversation = _Conversation(self._call, self._intent, reader, writer)
        self._tasks.add(task)
        try:
            if self._has_place():
                self._open.add(conversation)
                await conversation.run(self._hello_seconds)
            else:
                conversation.dismiss(_busy(self._limit))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(conversation)
            self._tasks.discard(task)
            writer.close()

    def _has_place(self) -> bool:
        """Makes one, if it must be. A request that is being answered is never cut off."""
        if len(self._open) < self._limit:
            return True
        droppable = [one for one in self._open if not one.answering]
        if not droppable:
            return False
        least = min(droppable, key=lambda one: one.need)
        self._open.discard(least)
        least.dismiss(_dropped())
        return True


class _Conversation:
    def __init__(
        self,
        call: Call,
        intent: Intent,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._verb = call
        self._intent = intent
        self._reader = reader
        self._writer = writer
        self._greeted = False
        self._streaming: asyncio.Task[None] | None = None
        self._idle_since = asyncio.get_running_loop().time()
        self.answering = False

    @property
    def need(self) -> tuple[bool, bool, float]:
        """Sorts least needed first: no hello yet; then nothing to wait for; then the longest idle.
        A connection that watches waits for events, and goes only after all that do not.
        """
        return self._greeted, self._streaming is not None, self._idle_since

    async def run(self, hello_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        impatience = loop.call_later(hello_seconds, self._expect_hello, hello_seconds)
        try:
            async for frame in rpc.frames(self._reader):
                if self._writer.is_closing():
                    return  # dismissed: the client was told that this is not carried out
                self.answering = True
                reply = await self._answer(frame)
                self.answering = False
                self._idle_since = loop.time()
                if reply is not None:
                    self._send(reply)
                    await self._writer.drain()
        finally:
            impatience.cancel()
            if self._streaming:
                self._streaming.cancel()

    def dismiss(self, why: PairingError) -> None:
        """Close the connection; `why` is the last that a client hears, if it still reads."""
        self._send(rpc.error_reply(None, why))
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()
        self._writer.close()

    def _expect_hello(self, seconds: float) -> None:
        if not self._greeted:
            self.dismiss(
                PairingError("no-hello", f"no hello within {seconds:g} s", "say hello first")
            )

    async def _answer(self, frame: bytes | None) -> dict[str, Any] | None:
        """The reply to one frame; None for a notification, which has none (JSON-RPC 2.0 §4.1)."""
        try:
            request = rpc.parsed(frame)
        except rpc.RpcError as error:
            return rpc.error_reply(None, error)
        reply = await self._reply(request)
        return reply if "id" in request else None

    async def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        request_id = request.get("id")
        try:
            result = await self._call(request)
        except (rpc.RpcError, PairingError) as error:
            return rpc.error_reply(request_id, error)
        except ConnectionError:
            raise
        except Exception as error:  # a defect in one verb must not end the daemon
            log.exception("a request failed")
            return rpc.error_reply(request_id, error)
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    async def _call(self, request: dict[str, Any]) -> Any:
        name = request["method"]
        if name not in methods.METHODS:
            raise rpc.RpcError(wire.METHOD_NOT_FOUND, f"no method {name[:64]!r}")
        if not self._greeted and name != "hello":
            raise rpc.RpcError(wire.HELLO_FIRST, "say hello first")
        given = rpc.params_of(methods.METHODS[name], request.get("params", {}))
        self._greeted = True
        if name == methods.WATCH.name and self._streaming is None:
            # Every later event follows on this connection, beside other replies.
            self._streaming = asyncio.create_task(self._stream(self._intent.listen()))
        return await self._verb(name, given, self._progress)

    async def _stream(self, listener: asyncio.Queue[Happening | None]) -> None:
        try:
            while event := await listener.get():
                self._notify("event", report.event(event))
                await self._writer.drain()
        finally:
            self._intent.forget(listener)
            self._writer.close()  # a listener that fell behind, or went: the connection is over

    def _progress(self, step: results.Progress) -> None:
        self._notify("progress", step)

    def _notify(self, method: str, params: object) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(rpc.framed(message))


def _busy(limit: int) -> PairingError:
    return PairingError(
        "busy",
        f"pairingd is answering {limit} requests already",
        "try again when one of them is done",
    )


def _dropped() -> PairingError:
    return PairingError(
        "dropped",
        "pairingd closed this connection, the longest idle, to serve another one",
        "run it again",
    )
