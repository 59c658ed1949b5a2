"""A request is bound to the connection that it came on."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, Self, cast

import pytest

from pairingd.errors import PairingError
from pairingd.protocol import wire
from pairingd.server.server import ControlServer
from pairingd.state.intent import Intent

CANCEL = {"jsonrpc": "2.0", "method": "cancel"}


class Verbs:
    """`invite` waits for ever and can be undone; `revoke` has done its work before it waits;
    `end` waits for `let_go`.
    """

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.undone = asyncio.Event()
        self.revoked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, method: str, *_: object) -> dict[str, Any]:
        match method:
            case "invite":
                self.began.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.undone.set()
            case "revoke":
                self.revoked.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise PairingError("goes-on", "it holds", "see status") from None
            case "end":
                self.began.set()
                await self.let_go.wait()
        return {"answers": method}


class Room:
    def __init__(self, path: Path) -> None:
        self.verbs = Verbs()
        self.path = path
        self._server = ControlServer(self.verbs, cast("Intent", None))

    async def __aenter__(self) -> Self:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        await self._server.start(listener)
        self.reader, self.writer = await asyncio.open_unix_connection(self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
        self.writer.close()

    async def close(self) -> None:
        await self._server.close()

    def sends(self, *methods: str) -> None:
        for method in methods:
            params = {"guests": ["octocat"]} if method in {"invite", "revoke"} else {}
            call = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
            self.writer.write(json.dumps(call).encode() + b"\n")

    def cancels(self) -> None:
        self.writer.write(json.dumps(CANCEL).encode() + b"\n")

    async def reads(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            reply: dict[str, Any] = json.loads(await self.reader.readline())
        return reply


@pytest.fixture
def path(short_path: Path) -> Path:
    return short_path / "sock"


async def happens(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()


async def test_a_client_that_disconnects_undoes_its_request(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "invite")
        await happens(room.verbs.began)
        room.writer.close()
        await happens(room.verbs.undone)


async def test_a_client_that_only_ends_its_writing_gets_its_reply(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "end")
        room.writer.write_eof()
        await happens(room.verbs.began)
        assert (await room.reads())["id"] == "hello"
        room.verbs.let_go.set()
        assert (await room.reads())["result"] == {"answers": "end"}
        async with asyncio.timeout(60):
            assert await room.reader.read() == b""


async def test_a_client_that_ended_its_writing_may_still_go_away(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "invite")
        room.writer.write_eof()
        await happens(room.verbs.began)
        room.writer.close()
        await happens(room.verbs.undone)


async def test_cancel_is_answered_and_the_connection_stays_open(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "invite")
        await happens(room.verbs.began)
        room.cancels()
        await room.reads()
        reply = await room.reads()
        assert reply["id"] == "invite"
        assert reply["error"]["data"]["code"] == "cancelled"
        room.sends("status")
        assert (await room.reads())["result"] == {"answers": "status"}


async def test_cancel_with_nothing_to_cancel_is_no_error(path: Path) -> None:
    async with Room(path) as room:
        room.cancels()
        room.sends("hello", "status")
        room.cancels()
        assert [(await room.reads())["id"] for _ in range(2)] == ["hello", "status"]


async def test_requests_that_wait_for_their_turn_take_only_some_memory(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "invite")
        await happens(room.verbs.began)
        room.writer.write(b'"%s"\n' % (b"x" * (wire.MAX_FRAME - 4)) * 32)
        unread, rounds = 0, 0
        while rounds < 100:  # client and server share this loop
            before, unread = unread, room.writer.transport.get_write_buffer_size()
            await asyncio.sleep(0)
            rounds = rounds + 1 if unread == before else 0
        assert unread > 20 * wire.MAX_FRAME


async def test_revoke_is_carried_out_even_if_its_client_has_disconnected(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "revoke")
        room.writer.close()
        await happens(room.verbs.revoked)


async def test_cancelling_a_revoke_is_refused_with_goes_on(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "revoke")
        await happens(room.verbs.revoked)
        room.cancels()
        await room.reads()
        assert (await room.reads())["error"]["data"]["code"] == "goes-on"


async def test_the_server_closes_although_a_verb_goes_on_and_its_client_stays(path: Path) -> None:
    async with Room(path) as room:
        room.sends("hello", "revoke")
        await happens(room.verbs.revoked)
        async with asyncio.timeout(60):
            await room.close()
        assert (await room.reads())["id"] == "hello"
        assert (await room.reads())["error"]["data"]["code"] == "goes-on"


async def test_a_queued_invitation_is_undone_if_its_client_has_disconnected(
    path: Path,
) -> None:
    async with Room(path) as room:
        room.sends("hello", "end", "invite", "status")
        await happens(room.verbs.began)
        room.verbs.began.clear()
        room.writer.close()
        await happens(room.verbs.undone)  # begun, and cancelled at its first wait
