"""Which connection gives way to a newcomer, with limits of a few connections and a second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from typing import Any, Self, cast

from pairingd.server.server import ControlServer
from pairingd.state.intent import Intent

LIMIT = 3


class Slow:
    """All verbs, and the intent that tells of events; some last until they are let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.all_asked = asyncio.Event()
        self.calls = 0
        self.listeners: list[asyncio.Queue[None]] = []
        self._asked = 0

    async def __call__(self, method: str, *_: object) -> dict[str, Any]:
        self.calls += 1
        if method in {"end", "ask"}:
            self._asked += 1
            if self._asked == LIMIT:
                self.all_asked.set()
            await self.let_go.wait()
        return {"answers": method}

    def listen(self) -> asyncio.Queue[None]:
        self.listeners.append(asyncio.Queue())
        return self.listeners[-1]

    def forget(self, listener: asyncio.Queue[None]) -> None:
        self.listeners.remove(listener)


class Line:
    """A client's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def sends(self, method: str) -> None:
        call: dict[str, Any] = {"jsonrpc": "2.0", "id": method, "method": method}
        if method == "ask":
            call["params"] = {"process": 2}
        self._writer.write(json.dumps(call).encode() + b"\n")

    async def reads(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            reply: dict[str, Any] = json.loads(await self._reader.readline())
        return reply

    async def asks(self, method: str) -> dict[str, Any]:
        self.sends(method)
        return await self.reads()

    async def last_words(self) -> str:
        """The code of the error with which the daemon has closed it."""
        reply = await self.reads()
        assert reply["id"] is None
        async with asyncio.timeout(30):
            assert await self._reader.read() == b""
        return str(reply["error"]["data"]["code"])

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Room:
    """A server for LIMIT connections at `path`, and all lines to it."""

    def __init__(self, path: Path, **limits: Any) -> None:
        self.verbs = Slow()
        self._path = path
        self._server = ControlServer(self.verbs, cast("Intent", self.verbs), limit=LIMIT, **limits)
        self._lines: list[Line] = []

    async def __aenter__(self) -> Self:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen()
        await self._server.start(listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()
        for line in self._lines:
            await line.close()

    async def stops(self) -> None:
        await self._server.close()

    async def rests(self) -> None:
        """Waits until no verb is called any more: client and server share this loop."""
        idle = 0
        while idle < 100:
            before = self.verbs.calls
            await asyncio.sleep(0)
            idle = idle + 1 if self.verbs.calls == before else 0

    async def line(self, *methods: str) -> Line:
        """A new one, on which these were called."""
        self._lines.append(Line(*await asyncio.open_unix_connection(self._path)))
        for method in methods:
            assert "result" in await self._lines[-1].asks(method)
        return self._lines[-1]

    async def busy(self, method: str) -> list[Line]:
        """LIMIT of them, on each of which this is being answered."""
        lines = [await self.line("hello") for _ in range(LIMIT)]
        for line in lines:
            line.sends(method)
        async with asyncio.timeout(30):
            await self.verbs.all_asked.wait()
        return lines


async def test_a_connection_without_a_hello_is_dropped_first(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        first = await room.line("hello")
        silent = await room.line()
        last = await room.line("hello")
        newcomer = await room.line("hello")
        assert await silent.last_words() == "dropped"
        for kept in (first, last, newcomer):
            assert "result" in await kept.asks("status")


async def test_the_longest_idle_connection_is_dropped_and_not_the_oldest(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        oldest = await room.line("hello")
        idle = await room.line("hello")
        third = await room.line("hello")
        assert "result" in await oldest.asks("status")
        await room.line("hello")
        assert await idle.last_words() == "dropped"
        await room.line("hello")
        assert await third.last_words() == "dropped"
        assert "result" in await oldest.asks("status")


async def test_a_watcher_is_kept_while_another_connection_is_idle(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        watcher = await room.line("hello", "watch")
        others = [await room.line("hello") for _ in range(LIMIT - 1)]
        await room.line("hello")
        assert await others[0].last_words() == "dropped"
        assert "result" in await watcher.asks("status")


async def test_watchers_that_leave_at_once_are_forgotten(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        for _ in range(20):
            leaves = await room.line("hello")
            leaves.sends("watch")
            await leaves.close()
        await room.rests()
        stays = await room.line("hello", "watch")
        assert "result" in await stays.asks("status")
        await room.rests()
        assert len(room.verbs.listeners) == 1


async def test_a_newcomer_gets_in_when_all_connections_are_watchers(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        watchers = [await room.line("hello", "watch") for _ in range(LIMIT)]
        newcomer = await room.line("hello")
        assert await watchers[0].last_words() == "dropped"
        assert "result" in await newcomer.asks("status")
        assert "result" in await watchers[1].asks("status")


async def test_a_request_that_is_being_answered_is_never_cut_off(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        busy = await room.busy("end")
        assert await (await room.line()).last_words() == "busy"
        room.verbs.let_go.set()
        for client in busy:
            assert "result" in await client.reads()
        assert "result" in await (await room.line("hello")).asks("status")


async def test_guests_who_wait_for_approval_take_no_place_and_are_limited_themselves(
    short_path: Path,
) -> None:
    async with Room(short_path / "sock") as room:
        waiting = await room.busy("ask")
        hosts = [await room.line("hello") for _ in range(LIMIT)]
        for host in hosts:
            assert "result" in await host.asks("status")
        refused = await hosts[0].asks("ask")
        assert refused["error"]["data"]["code"] == "busy"
        room.verbs.let_go.set()
        for guest in waiting:
            assert "result" in await guest.reads()
        assert "result" in await hosts[0].asks("ask")


async def test_a_place_comes_free_when_a_client_goes(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        kept = [await room.line("hello") for _ in range(LIMIT)]
        await kept.pop().close()
        await room.line("hello")
        for client in kept:
            assert "result" in await client.asks("status")


async def test_a_connection_that_does_not_read_its_replies_is_dropped_too(short_path: Path) -> None:
    async with Room(short_path / "sock") as room:
        deaf = await room.line("hello")
        for _ in range(20_000):  # more than the kernel keeps of the answers
            deaf.sends("status")
        await room.rests()
        others = [await room.line("hello") for _ in range(LIMIT - 1)]
        newcomers = [await room.line("hello") for _ in range(LIMIT)]
        for client in newcomers:
            assert "result" in await client.asks("status")
        for client in others:
            assert await client.last_words() == "dropped"


async def test_without_a_hello_a_connection_ends_and_with_one_it_stays(short_path: Path) -> None:
    async with Room(short_path / "sock", hello_seconds=0.2) as room:
        greeted = await room.line("hello")
        assert await (await room.line()).last_words() == "no-hello"
        assert "result" in await greeted.asks("status")


async def test_idle_and_watching_connections_are_told_that_the_daemon_has_stopped(
    short_path: Path,
) -> None:
    async with Room(short_path / "sock") as room:
        idle = await room.line("hello")
        watching = await room.line("hello", "watch")
        await room.stops()
        for line in (idle, watching):
            assert await line.last_words() == "daemon-stopped"
