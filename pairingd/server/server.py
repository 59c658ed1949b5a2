"""The server at the Unix socket, and its limits. Nothing a client sends ends the daemon."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Container
from typing import Any

from pairingd.errors import PairingError
from pairingd.machine import peer
from pairingd.protocol import results
from pairingd.protocol.methods import ASK, METHODS
from pairingd.server import rpc
from pairingd.server.conversation import Call, Conversation
from pairingd.state.intent import Intent

MAX_CONNECTIONS = 64
HELLO_LIMIT_S = 5.0


class ControlServer:
    """Answers with `call`. Each connection is its own task; its requests are answered in order.

    Above `limit` connections a new one replaces the least needed one, so that a client that holds
    connections open does not block `revoke`. Nor do guests who wait for approval: they do not count
    there, and have a `limit` of their own.
    """

    def __init__(
        self,
        call: Call,
        intent: Intent,
        *,
        limit: int = MAX_CONNECTIONS,
        hello_seconds: float = HELLO_LIMIT_S,
        peer_uid: int | None = None,
        methods: Container[str] = METHODS,
    ) -> None:
        """`peer_uid` is the user whose processes may connect, None for our own; `methods` are those
        that they may call.
        """
        self._verb = call
        self._asking = 0
        self._intent = intent
        self._limit = limit
        self._hello_seconds = hello_seconds
        self._peer_uid = os.getuid() if peer_uid is None else peer_uid
        self._methods = methods
        self._server: asyncio.Server | None = None
        self._conversations: set[Conversation] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serve `listener`, also in place of an earlier one, whose connections stay."""
        previous, self._server = (
            self._server,
            await asyncio.start_unix_server(self._serve, sock=listener, limit=rpc.CHUNK),
        )
        if previous:
            previous.close()

    async def close(self) -> None:
        """Stop listening, and close every connection; who watches or is idle is told why."""
        if self._server:
            self._server.close()
        for conversation in tuple(self._conversations):
            conversation.leave()
            if conversation.watches or not conversation.answering:
                conversation.dismiss(_stopped())
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        if peer.uid(writer.get_extra_info("socket")) != self._peer_uid:
            writer.close()
            return
        conversation = Conversation(self._call, self._intent, reader, writer, self._methods)
        self._tasks.add(task)
        try:
            if self._has_place():
                self._conversations.add(conversation)
                await conversation.run(self._hello_seconds)
            else:
                conversation.dismiss(_busy(self._limit))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._conversations.discard(conversation)
            self._tasks.discard(task)
            writer.close()

    async def _call(
        self, name: str, given: object, notify: Callable[[results.Progress], None]
    ) -> Any:
        if name != ASK.name:
            return await self._verb(name, given, notify)
        if self._asking >= self._limit:
            raise _busy(self._limit)
        self._asking += 1
        try:
            return await self._verb(name, given, notify)
        finally:
            self._asking -= 1

    def _has_place(self) -> bool:
        """Drop an idle connection if needed, but never one whose request is in progress."""
        if len(self._conversations) < self._limit + self._asking:
            return True
        droppable = [
            conversation for conversation in self._conversations if not conversation.answering
        ]
        if not droppable:
            return False
        least = min(droppable, key=lambda conversation: conversation.need)
        self._conversations.discard(least)
        least.dismiss(_dropped())
        return True


def _busy(limit: int) -> PairingError:
    return PairingError(
        "busy",
        f"pairingd is answering {limit} requests already",
        "try again when one of them is done",
    )


def _stopped() -> PairingError:
    return PairingError("daemon-stopped", "pairingd has stopped", "pairctl start")


def _dropped() -> PairingError:
    return PairingError(
        "dropped",
        "pairingd closed this connection, the longest idle, to serve another one",
        "run it again",
    )
