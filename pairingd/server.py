"""The Unix socket: who is served, and how many. Nothing a client sends ends the daemon."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Container

from pairingd import peer, rpc
from pairingd.conversation import Call, Conversation
from pairingd.errors import PairingError
from pairingd.intent import Intent
from pairingd.protocol.methods import METHODS

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
        peer_uid: int | None = None,
        methods: Container[str] = METHODS,
    ) -> None:
        """`peer_uid` is the user whose processes may connect, None for our own; `methods` are those
        that they may call.
        """
        self._call = call
        self._intent = intent
        self._limit = limit
        self._hello_seconds = hello_seconds
        self._peer_uid = os.getuid() if peer_uid is None else peer_uid
        self._methods = methods
        self._server: asyncio.Server | None = None
        self._open: set[Conversation] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Also again, at another socket: the connections at the first one stay."""
        before, self._server = (
            self._server,
            await asyncio.start_unix_server(self._serve, sock=listener, limit=rpc.CHUNK),
        )
        if before:
            before.close()

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
        if peer.uid(writer.get_extra_info("socket")) != self._peer_uid:
            writer.close()
            return
        conversation = Conversation(self._call, self._intent, reader, writer, self._methods)
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
