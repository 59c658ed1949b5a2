"""Looks from a machine elsewhere: when, and what they prove. tests/e2e has the real ssh."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pairingd.core.ways import Place
from pairingd.errors import PairingError, WorldError
from pairingd.reconcile.lookout import Lookout
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.keyscan import Sight
from tests.core.make import START

ROUTER = ("5.5.5.1", 22)


class View:
    near = ("127.0.0.1", 1)
    pid = os.getpid()
    connect_error = "connect failed: Connection refused"

    def __init__(self, *, blind: bool) -> None:
        self.blind = blind


class Elsewhere:
    """A machine whose connections the door sees come from `peer`."""

    destination = "me@vps"

    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        self.peer = "5.5.8.2"
        self.blind = False
        self.looks: list[Place] = []

    @asynccontextmanager
    async def towards(self, host: str, port: int) -> AsyncIterator[View]:
        self.looks.append((host, port))
        if self.peer:
            self.signals.stranger_came(self.peer)
        yield View(blind=self.blind)

    def refused(self, why: str) -> PairingError:
        return WorldError("look-from-failed", f"does not connect: {why}", "let it")


class Stand:
    def __init__(self, store: Store, *, named: bool = True) -> None:
        self.store = store
        self.now: float = START
        self.sight = Sight.OUR_DOOR
        self.places: list[Place] = [ROUTER]
        self.door: int | None = 50111
        self.signals = Signals()
        self.elsewhere = Elsewhere(self.signals)
        self.lane = Lookout(
            Intent(self.store, lambda: self.now, self.signals),
            self.store,
            self.elsewhere,  # type: ignore[arg-type]
            lambda: self.places,
            lambda: self.door,
            self._look,
            lambda: self.now,
            self.signals,
            named=named,
        )

    async def _look(self, _host: str, _port: int) -> Sight:
        assert [process.pid for process in self.store.processes()] == [View.pid]
        return self.sight


@pytest.fixture
def stand(store: Store) -> Stand:
    return Stand(store)


async def test_our_host_key_seen_from_the_internet_proves_the_endpoint(stand: Stand) -> None:
    assert await stand.lane.one_pass() == START + 600
    assert stand.lane.outside == {ROUTER: True}
    assert stand.lane.problems == []
    stand.now += 599
    await stand.lane.one_pass()
    assert stand.elsewhere.looks == [ROUTER]
    stand.now += 1
    await stand.lane.one_pass()
    assert stand.elsewhere.looks == [ROUTER] * 2


@pytest.mark.parametrize("sight", [Sight.NOBODY, Sight.ANOTHER_SERVER])
async def test_a_look_that_does_not_see_the_host_is_repeated_less_and_less_often(
    stand: Stand, sight: Sight
) -> None:
    stand.sight = sight
    waits = []
    for _ in range(8):
        due = await stand.lane.one_pass()
        assert due is not None
        waits.append(due - stand.now)
        stand.now = due
    assert waits == [15, 30, 60, 120, 240, 480, 600, 600]
    assert stand.lane.outside == {ROUTER: False}
    [problem] = stand.lane.problems
    assert problem.code == "not-seen-outside"
    assert "me@vps does not see" in problem.message
    assert ROUTER[0] in problem.message
    stand.sight = Sight.OUR_DOOR
    await stand.lane.one_pass()
    assert stand.lane.outside == {ROUTER: True}


async def test_a_guest_who_comes_after_a_failed_look_overrides_it(stand: Stand) -> None:
    stand.sight = Sight.NOBODY
    await stand.lane.one_pass()
    for peer in ("5.5.5.1", "192.168.1.7", "2a00::1"):
        stand.signals.stranger_came(peer)
        assert stand.lane.outside == {ROUTER: False}
    stand.signals.guest_came("5.5.9.2")
    assert stand.lane.outside == {}
    assert stand.lane.problems == []
    assert stand.store.processes() == []


@pytest.mark.parametrize("peer", ["", "192.168.1.7", "5.5.5.1", "2a00::1"])
async def test_a_machine_in_our_own_network_proves_nothing(stand: Stand, peer: str) -> None:
    stand.elsewhere.peer = peer
    with pytest.raises(WorldError, match="over the internet") as caught:
        await stand.lane.one_pass()
    assert caught.value.code == "look-from-failed"
    assert stand.lane.outside == {}


@pytest.mark.parametrize(("named", "raises"), [(True, True), (False, False)])
async def test_a_machine_that_may_not_connect_gives_no_result_for_the_endpoint(
    store: Store, named: bool, raises: bool
) -> None:
    stand = Stand(store, named=named)
    stand.sight, stand.elsewhere.blind = Sight.NOBODY, True
    if raises:
        with pytest.raises(WorldError, match="Connection refused"):
            await stand.lane.one_pass()
    else:
        assert await stand.lane.one_pass() == START + 600
    assert stand.lane.outside == {}
    assert stand.lane.problems == []


async def test_the_result_of_a_look_ends_with_the_mapping_the_endpoint_or_the_door(
    stand: Stand,
) -> None:
    await stand.lane.one_pass()
    stand.signals.happened("mapping-lost")
    assert stand.lane.outside == {}
    await stand.lane.one_pass()
    assert stand.lane.outside == {ROUTER: True}
    stand.places = [("5.5.5.7", 22)]
    await stand.lane.one_pass()
    assert stand.lane.outside == {("5.5.5.7", 22): True}
    stand.door = 50222
    assert stand.lane.outside == {}
    await stand.lane.one_pass()
    assert stand.lane.outside == {("5.5.5.7", 22): True}
    stand.door = None
    assert stand.lane.outside == {}
    assert await stand.lane.one_pass() is None
    assert len(stand.elsewhere.looks) == 4


async def test_a_look_ends_with_the_door(stand: Stand) -> None:
    looking = asyncio.Event()

    async def look(_host: str, _port: int) -> Sight:
        looking.set()
        await asyncio.Event().wait()
        raise AssertionError

    stand.lane._look = look
    running = asyncio.create_task(stand.lane.one_pass())
    await looking.wait()
    stand.door = None
    stand.signals.door_changed()
    await running
    assert stand.lane.outside == {}
    assert stand.store.processes() == []


async def test_the_addresses_to_which_a_name_resolves_here_count_as_our_own(stand: Stand) -> None:
    stand.places = [("name.invalid", 2022)]
    with pytest.raises(WorldError, match="over the internet"):  # it has none: RFC 6761 §6.4
        await stand.lane.one_pass()
    stand.places = [("localhost", 2022)]
    await stand.lane.one_pass()
    assert stand.lane.outside == {("localhost", 2022): True}
