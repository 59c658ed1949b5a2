"""The relay's lane where the journal cannot be written; tests/test_relay.py has the real ssh."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from pairingd.errors import PairingError, WorldError
from pairingd.process.tunnel import Tunnel, start
from pairingd.reconcile.relay import RelayLane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.keyscan import Sight
from tests.core.make import START


class Relay:
    """Tunnels whose ssh is sleep(1)."""

    def __init__(self) -> None:
        self.opened: list[Tunnel] = []

    @property
    def running(self) -> int:
        return sum(one.status is None for one in self.opened)

    async def open(self, door_port: int) -> Tunnel:
        program = await start("sleep", "60")
        self.opened.append(Tunnel("relay.example.org", 50000, door_port, program))
        return self.opened[-1]

    async def open_jump(self, door_port: int) -> Tunnel:
        return await self.open(door_port)

    @asynccontextmanager
    async def inside(self, port: int) -> AsyncIterator[tuple[str, int]]:
        yield "127.0.0.1", port

    def unseen(self, tunnel: Tunnel, *, inside: bool) -> PairingError:
        raise AssertionError(tunnel, inside)

    def lost(self, tunnel: Tunnel) -> PairingError:
        status = tunnel.status
        return WorldError("relay-unreachable", f"its ssh ended with status {status}", "look there")


@contextmanager
def unwritable(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


async def seen(_host: str, _port: int) -> Sight:
    return Sight.OUR_DOOR


async def test_no_ssh_is_left_where_the_journal_cannot_be_written(
    store: Store, tmp_path: Path
) -> None:
    relay = Relay()
    door: int | None = 50111
    signals = Signals()
    intent = Intent(store, lambda: START, signals)
    lane = RelayLane(
        *(intent, store, relay, lambda: door, seen, lambda: START, signals), connected=lambda: False
    )
    with unwritable(tmp_path / "state.db"):
        for _ in range(2):
            with pytest.raises(WorldError) as caught:
                await lane.one_pass()
            assert caught.value.code == "state-unwritable"
            assert relay.running == 0
    await lane.one_pass()
    assert (relay.running, len(store.processes())) == (1, 1)
    door = None
    with unwritable(tmp_path / "state.db"):
        await lane.one_pass()
    assert relay.running == 0


async def test_a_relay_whose_tunnels_do_not_last_is_asked_less_and_less_often(
    store: Store,
) -> None:
    relay, now = Relay(), START
    signals = Signals()
    intent = Intent(store, lambda: START, signals)
    lane = RelayLane(
        *(intent, store, relay, lambda: 50111, seen, lambda: now, signals), connected=lambda: True
    )
    opened: list[float] = []
    for _ in range(200):
        with suppress(WorldError):
            await lane.one_pass()
        if len(relay.opened) > len(opened):
            opened.append(now - START)
            relay.opened[-1].program.process.kill()
            await relay.opened[-1].program.process.wait()
            relay.opened[-1].ended.set()
            with pytest.raises(WorldError, match="status -9"):
                await lane.one_pass()
        now += 1
    waits = [later - before for before, later in pairwise(opened)]
    assert waits == [2, 4, 8, 16, 32, 60, 60]
