"""One connection to the control socket. Requests are answered in order.

If the client cancels a request, or disconnects before the reply, the verb stops. It has then
changed nothing, or its error says what holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from typing import Any

from pairingd.errors import PairingError
from pairingd.machine import peer
from pairingd.protocol import methods, results, wire
from pairingd.replies import report
from pairingd.server import rpc
from pairingd.state.history import Happening
from pairingd.state.intent import Intent

log = logging.getLogger(__name__)

# Takes a method's name, its parameters, and a callback for its progress.
Call = Callable[[str, object, Callable[[results.Progress], None]], Awaitable[Any]]

MAX_PIPELINED = 8  # requests that wait while another is answered; each may have MAX_FRAME bytes
_HANGUP_POLL_INTERVAL_S = 0.25  # for a client that has finished sending


class Conversation:
    def __init__(
        self,
        call: Call,
        intent: Intent,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        known: Container[str],
    ) -> None:
        """`known` are those of METHODS that the client may call."""
        self._verb = call
        self._intent = intent
        self._reader = reader
        self._writer = writer
        self._known = known
        self._greeted = False
        self._frames: asyncio.Queue[bytes | _End | None] = asyncio.Queue(MAX_PIPELINED)
        self._over = False
        self._hung_up = False
        self._serving: asyncio.Task[None] | None = None
        self._streaming: asyncio.Task[None] | None = None
        self._idle_since = asyncio.get_running_loop().time()
        self._cancelled = False
        self.answering = False

    @property
    def need(self) -> tuple[bool, bool, float]:
        """Sort key, least needed first: no hello yet, then nothing to wait for, then the longest
        idle. A connection that watches waits for events, so it goes only after all that do not.
        """
        return self._greeted, self.watches, self._idle_since

    @property
    def watches(self) -> bool:
        return self._streaming is not None

    async def run(self, hello_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        hello_timer = loop.call_later(hello_seconds, self._expect_hello, hello_seconds)
        self._serving = asyncio.current_task()
        reading = asyncio.create_task(self._read())
        try:
            while not self._over and not isinstance(frame := await self._frames.get(), _End):
                if self._over:
                    return  # the client knows that this is not carried out
                reply = await self._cancellable_reply(frame)
                self._idle_since = loop.time()
                if reply is not None:
                    self._send(reply)
                    with suppress(ConnectionError):  # it may have sent a `revoke` and gone
                        await self._writer.drain()
        finally:
            hello_timer.cancel()
            reading.cancel()
            if self._streaming:
                self._streaming.cancel()

    def leave(self) -> None:
        """End after the present reply. A verb may make a reply of its cancellation (`goes-on`)."""
        self._over = True

    def dismiss(self, reason: PairingError) -> None:
        """Close the connection. `reason` is the last message to the client, if it still reads."""
        self._over = True
        self._send(rpc.error_reply(None, reason))
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()
        self._writer.close()

    def _expect_hello(self, seconds: float) -> None:
        if not self._greeted:
            self.dismiss(
                PairingError("no-hello", f"no hello within {seconds:g} s", "say hello first")
            )

    async def _read(self) -> None:
        """Read all frames, then poll until the client hangs up."""
        with suppress(ConnectionError):
            async for frame in rpc.frames(self._reader):
                if rpc.is_cancel(frame):
                    self._cancel()
                else:
                    await self._frames.put(frame)
        await self._frames.put(_End())
        # A client that sends no more may still wait for replies: shutdown(2), SHUT_WR.
        while not self._hung_up:
            self._hung_up = peer.has_hung_up(self._writer.get_extra_info("socket"))
            await asyncio.sleep(0 if self._hung_up else _HANGUP_POLL_INTERVAL_S)
        self._cancel()

    async def _cancellable_reply(self, frame: bytes | None) -> dict[str, Any] | None:
        """Return the reply to one frame; the client may cancel it. What a verb does before its
        first `await` is done in any case.
        """
        self.answering = True
        if self._hung_up:
            asyncio.get_running_loop().call_soon(self._cancel)
        try:
            return await self._reply_to(frame)
        finally:
            self.answering = False
            if self._cancelled and self._serving:
                self._serving.uncancel()
            self._cancelled = False

    def _cancel(self) -> None:
        if self.answering and not self._cancelled and self._serving:
            self._cancelled = True
            self._serving.cancel()

    async def _reply_to(self, frame: bytes | None) -> dict[str, Any] | None:
        """None for a notification, which has no reply (JSON-RPC 2.0 §4.1)."""
        try:
            request = rpc.parsed(frame)
        except rpc.RpcError as error:
            return rpc.error_reply(error.request_id, error)
        reply = await self._reply(request)
        return reply if "id" in request else None

    async def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        request_id = request.get("id")
        try:
            result = await self._call(request)
        except (rpc.RpcError, PairingError) as error:
            return rpc.error_reply(request_id, error)
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            return rpc.error_reply(request_id, _cancelled(request["method"]))
        except ConnectionError:
            raise
        except Exception as error:  # a defect in one verb must not end the daemon
            log.exception("a request failed")
            return rpc.error_reply(request_id, error)
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    async def _call(self, request: dict[str, Any]) -> Any:
        name = request["method"]
        if name not in self._known:
            raise rpc.RpcError(wire.METHOD_NOT_FOUND, f"no method {name[:64]!r}")
        if not self._greeted and name != "hello":
            raise rpc.RpcError(wire.HELLO_FIRST, "say hello first")
        given = await rpc.params_of(methods.METHODS[name], request.get("params", {}))
        self._greeted = True
        if name == methods.WATCH.name and self._streaming is None:
            # Every later event follows on this connection, beside other replies.
            listener = self._intent.listen()
            self._streaming = asyncio.create_task(self._stream(listener))
            # Not in the task, which may be cancelled before it begins.
            self._streaming.add_done_callback(lambda _: self._intent.forget(listener))
        return await self._verb(name, given, self._progress)

    async def _stream(self, listener: asyncio.Queue[Happening | None]) -> None:
        try:
            while event := await listener.get():
                self._notify("event", report.event(event))
                await self._writer.drain()
        finally:
            self._writer.close()  # the listener fell behind, or the client left

    def _progress(self, step: results.Progress) -> None:
        self._notify("progress", step)

    def _notify(self, method: str, params: object) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(rpc.framed(message))


class _End:
    """The client sends no more."""


def _cancelled(method: str) -> PairingError:
    return PairingError(
        "cancelled", f"{method} was cancelled: nothing has changed", "pairctl status shows what is"
    )
