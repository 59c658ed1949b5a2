"""The dial lane: guests on loopback who listen, in the place of those who connect as well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from pairingd.core.events import Revoke
from pairingd.core.model import Dial, HostPort
from pairingd.core.records import replace
from pairingd.reconcile.dial import DialLane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.door import Arrival
from pairingd.world.outgoing.hole import Hole
from tests.core.make import START, invitation, invite
from tests.fakes.stun import FakeStun
from tests.stage import free_port
from tests.waiting import WAIT_S

OUTSIDE = "203.0.113.1"


class Door:
    """Open; keeps who was taken."""

    def __init__(self) -> None:
        self.port: int | None = 50111
        self.taken: asyncio.Queue[Arrival] = asyncio.Queue()

    def take(self, arrival: Arrival) -> None:
        self.taken.put_nowait(arrival)

    async def next(self) -> Arrival:
        async with asyncio.timeout(WAIT_S):
            return await self.taken.get()


class House:
    """The lane, with one guest who is dialed at `listener`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.signals = Signals()
        self.intent = Intent(store, lambda: START, self.signals)
        self.door = Door()
        self.outside = OUTSIDE
        self.stun: tuple[str, int] | None = None
        self.announced: list[str] = []
        self.signals.dial_changed.connect(self.announced.append)
        self.lane = DialLane(
            self.intent,
            self.door,  # type: ignore[arg-type]
            lambda _peer: self.outside,
            self._hole,
            "stun.example.org",
            lambda: START,
            self.signals,
        )

    def _hole(self, port: int, changed: Callable[[], None]) -> Hole | None:
        return Hole(self.stun, port, changed) if self.stun else None

    @property
    def dial(self) -> Dial:
        [guest] = self.intent.state.live
        assert guest.dial
        return guest.dial

    def invites(self) -> None:
        guest = replace(invitation(id="a"), dial=Dial("127.0.0.1", free_port(), free_port()))
        self.intent.apply(invite(guest))

    def listens(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", self.dial.guest_port))

    async def settles(self, fits: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not fits():
                await self.lane.settle()


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    house = House(store)
    task = asyncio.create_task(house.lane.run())
    yield house
    house.door.port = None
    await house.lane.settle()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_dialed_guest_reaches_the_door_and_then_gets_other_ports(house: House) -> None:
    house.invites()
    first = house.dial
    with house.listens():
        arrival = await house.door.next()
    assert (arrival.peer, arrival.dialed) == ("127.0.0.1", "a")
    assert house.lane.endpoints["a"].verified is None
    house.lane.note_printed("a", HostPort(OUTSIDE, first.host_port))
    house.signals.guest_answered("a")
    assert house.lane.endpoints["a"].verified == "guest"
    assert {house.dial.host_port, house.dial.guest_port}.isdisjoint(
        {first.host_port, first.guest_port}
    )
    with house.listens():  # a second one, while the first is in
        second = await house.door.next()
    assert not house.announced
    for dialed in (arrival, second):
        assert dialed.left
        dialed.left(True)
        dialed.socket.close()
    await house.settles(lambda: house.announced == ["a"])


async def test_a_login_that_failed_uses_the_ports_up_too(house: House) -> None:
    house.invites()
    first = house.dial
    house.lane.note_printed("a", HostPort(OUTSIDE, first.host_port))
    with house.listens():
        arrival = await house.door.next()
    arrival.socket.close()
    assert arrival.left
    arrival.left(True)
    await house.settles(lambda: house.announced == ["a"])
    assert house.dial.host_port != first.host_port
    assert house.lane.endpoints["a"].verified is None


async def test_a_port_that_is_taken_is_not_kept(house: House) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        taken = other.getsockname()[1]
        guest = replace(invitation(id="a"), dial=Dial("127.0.0.1", taken, free_port()))
        house.intent.apply(invite(guest))
        await house.settles(lambda: house.dial.host_port != taken)


async def test_revoked_guests_are_no_longer_dialed(house: House) -> None:
    house.invites()
    await house.lane.settle()
    assert house.lane.needed
    house.intent.apply(Revoke(("a",)))
    await house.lane.settle()
    assert not house.lane.needed
    assert not house.lane.endpoints
    kinds = [happening.kind for happening in house.store.history_of("s1")]
    assert kinds.count("dialing") == kinds.count("dial-ended") == 1


async def test_the_stun_servers_answer_overrides_the_routers_address(house: House) -> None:
    async with FakeStun(("198.51.100.9", 4711)) as server:
        house.stun = server.address
        house.invites()
        await house.lane.ready()
        endpoint = house.lane.endpoints["a"]
        assert (endpoint.host, endpoint.port) == ("198.51.100.9", 4711)
        assert endpoint.proxy == f"nc -p {house.dial.guest_port} 198.51.100.9 4711"


async def test_without_a_stun_answer_the_outside_port_is_assumed_to_be_the_same(
    house: House,
) -> None:
    async with FakeStun(reply=bytes(20)) as server:
        house.stun = server.address
        house.invites()
        await house.lane.ready()
        assert house.lane.endpoints["a"].port == house.dial.host_port


async def test_an_unknown_address_is_a_problem(house: House) -> None:
    house.outside = ""
    house.invites()
    await house.lane.ready()
    assert not house.lane.endpoints
    [problem] = house.lane.problems
    assert problem.code == "dial-no-address"
