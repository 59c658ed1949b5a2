"""The hole lane, with a real connection to a STUN server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from pairingd.core.model import HostPort
from pairingd.reconcile.hole import HoleLane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.outgoing.hole import Hole
from tests.core.make import START, invite
from tests.fakes.stun import FakeStun
from tests.stage import free_port
from tests.waiting import WAIT_S

OUTSIDE = ("203.0.113.1", 40022)
GUEST = "8.8.8.8"


class House:
    def __init__(self, store: Store, server: tuple[str, int]) -> None:
        self.store = store
        self.signals = Signals()
        self.intent = Intent(store, lambda: START, self.signals)
        self.intent.apply(invite())
        self.forwarded: HostPort | None = HostPort("100.64.3.4", free_port())
        self.announced: list[str] = []
        self.signals.endpoint_changed.connect(self.announced.append)

        def make_hole(port: int, changed: Callable[[], None]) -> Hole:
            return Hole(server, port, changed)

        self.lane = HoleLane(
            self.intent,
            lambda: self.forwarded,
            make_hole,
            "stun.example.org",
            "me.example.net",
            lambda: "192.168.1.10",
            lambda: START,
            self.signals,
        )

    async def settles(self, fits: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not fits():
                await self.lane.settle()

    def kinds(self) -> list[str]:
        return [happening.kind for happening in self.store.history_of("s1")]


@asynccontextmanager
async def running(store: Store, server: tuple[str, int]) -> AsyncIterator[House]:
    house = House(store, server)
    task = asyncio.create_task(house.lane.run())
    try:
        yield house
    finally:
        house.forwarded = None
        await house.lane.settle()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_hole_is_where_the_server_sees_the_routers_port(store: Store) -> None:
    async with FakeStun(OUTSIDE) as server, running(store, server.address) as house:
        assert house.forwarded
        await house.lane.ready()
        hole = house.lane.endpoint
        assert hole
        assert (hole.kind, hole.host, hole.port, hole.verified) == ("cgnat", *OUTSIDE, None)
        assert server.requests[0][1] == house.forwarded.port
        await house.settles(lambda: "hole-opened" in house.kinds())
        session = house.intent.state.session
        assert session
        assert session.announced == HostPort(*OUTSIDE)
        assert not house.announced  # nobody had a command


async def test_only_a_connection_from_the_internet_proves_the_hole(store: Store) -> None:
    async with FakeStun(OUTSIDE) as server, running(store, server.address) as house:
        await house.settles(lambda: "hole-opened" in house.kinds())

        def verified() -> str | None:
            return house.lane.endpoint.verified if house.lane.endpoint else "no endpoint"

        for near in ("192.168.1.11", "100.64.9.9", OUTSIDE[0], "2001:4860:4860::8888"):
            house.signals.guest_came(near)
            assert verified() is None
        house.signals.stranger_came(GUEST)
        assert verified() == "stranger"
        house.signals.guest_came(GUEST)
        assert verified() == "guest"
        house.signals.stranger_came(GUEST)
        assert verified() == "guest"
        server.told = ("203.0.113.1", 40023)
        server.drop()
        house.forwarded = HostPort("100.64.3.4", free_port())
        house.lane.poke()
        await house.settles(lambda: house.lane.endpoint and house.lane.endpoint.port == 40023)
        assert verified() is None
        await house.settles(lambda: house.announced)
        assert "40023" in house.announced[0]


async def test_the_hole_closes_with_the_routers_port(store: Store) -> None:
    async with FakeStun(OUTSIDE) as server, running(store, server.address) as house:
        await house.settles(lambda: house.lane.endpoint)
        await house.lane.settle()
        house.forwarded = None
        assert house.lane.endpoint is None
        await house.lane.settle()
        assert not house.lane.needed
        assert house.kinds().count("hole-opened") == house.kinds().count("hole-closed") == 1


async def test_no_hole_where_the_router_is_on_the_internet(store: Store) -> None:
    async with FakeStun(OUTSIDE) as server, running(store, server.address) as house:
        house.forwarded = HostPort("5.5.5.1", free_port())
        await house.lane.ready()
        assert not house.lane.needed
        assert house.lane.endpoint is None
        assert server.requests == []


async def test_a_server_that_does_not_help_is_a_problem(store: Store) -> None:
    async with FakeStun(reply=bytes(20)) as server, running(store, server.address) as house:
        await house.lane.ready()
        assert house.lane.endpoint is None
        [problem] = house.lane.problems
        assert problem.code == "stun-failed"
