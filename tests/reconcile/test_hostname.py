"""The hostname lane, with a resolver and an update command of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.core.events import CommandPrinted
from pairingd.core.model import HostPort
from pairingd.reconcile.hostname import HostnameLane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world import resolver
from tests.core.make import START, invite
from tests.waiting import gone

NAME = "me.example.net"
WAY = HostPort("5.5.5.1", 22)


class House:
    """`zone` is what the name leads to."""

    def __init__(self, store: Store, *, updates: bool = True) -> None:
        self.now = float(START)
        self.signals = Signals()
        self.intent = Intent(store, lambda: self.now, self.signals)
        self.intent.apply(invite())
        self.announced: list[str] = []
        self.signals.endpoint_changed.connect(self.announced.append)
        self.way: HostPort | None = WAY
        self.zone = {"5.5.5.9"}
        self.failure = ""
        self.updates: list[str] = []
        self.lane = HostnameLane(
            self.intent,
            NAME,
            lambda: self.way,
            self.resolve,
            self.update if updates else None,
            lambda: self.now,
            self.signals,
        )

    async def resolve(self, hostname: str) -> frozenset[str]:
        assert hostname == NAME
        return frozenset(self.zone)

    async def update(self, _hostname: str, address: str) -> str:
        self.updates.append(address)
        if not self.failure:
            self.zone = {address}
        return self.failure

    def codes(self) -> list[str]:
        return [problem.code for problem in self.lane.problems]


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


async def test_a_name_that_leads_elsewhere_is_updated_and_then_verified(house: House) -> None:
    assert house.lane.name is None
    assert await house.lane.one_pass() == START + 300
    assert house.updates == ["5.5.5.1"]
    assert house.lane.name
    assert house.lane.name.leads_here
    house.way = HostPort("5.5.5.2", 22)
    assert house.lane.name is None  # nothing is known of the new address yet
    await house.lane.one_pass()
    assert house.updates == ["5.5.5.1", "5.5.5.2"]
    assert not house.codes()


async def test_a_failed_update_is_named_and_repeated_later(house: House) -> None:
    house.failure = "no route (status 7)"
    await house.lane.one_pass()
    assert house.codes() == ["hostname-update-failed"]
    await house.lane.one_pass()
    assert len(house.updates) == 1
    house.now += 60
    house.failure = ""
    await house.lane.one_pass()
    assert not house.codes()


async def test_without_an_update_command_the_name_is_only_looked_up(store: Store) -> None:
    house = House(store, updates=False)
    assert await house.lane.one_pass() == START + 15
    assert house.codes() == ["hostname-stale"]
    house.zone = {"5.5.5.1"}
    await house.lane.one_pass()
    assert not house.codes()


async def test_guests_who_hold_a_stale_name_get_the_address_once(store: Store) -> None:
    house = House(store, updates=False)
    house.intent.apply(CommandPrinted(HostPort(NAME, 22)))
    for _ in range(4):
        await house.lane.one_pass()
        assert not house.announced
        house.now += 59
    for _ in range(3):
        house.now += 5
        await house.lane.one_pass()
    assert len(house.announced) == 1
    assert "5.5.5.1" in house.announced[0]


async def test_nothing_is_looked_up_or_updated_without_a_known_address(house: House) -> None:
    house.way = None
    assert await house.lane.one_pass() is None
    assert not house.lane.needed
    assert not house.updates


async def test_the_systems_resolver_knows_localhost_and_not_a_wrong_name() -> None:
    assert await resolver.resolve("localhost") == {"127.0.0.1"}
    assert await resolver.resolve("x" * 64 + ".example") == frozenset()


async def test_the_command_gets_the_name_and_the_address(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = f"sh -c 'echo $0 $1 >{said}' {{hostname}} {{address}}"
    assert await resolver.update(command, NAME, "5.5.5.1") == ""
    assert said.read_text() == f"{NAME} 5.5.5.1\n"


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        ("sh -c 'echo bad token >&2; exit 3'", "bad token (status 3)"),
        ("/no/such/program", "it cannot be run: No such file or directory"),
    ],
)
async def test_a_command_that_fails_says_why(command: str, failure: str) -> None:
    assert await resolver.update(command, NAME, "5.5.5.1") == failure


async def test_a_command_that_hangs_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = f"sh -c 'sleep 3600 & echo $! >{started}; wait'"
    assert await resolver.update(command, NAME, "5.5.5.1", seconds=0.5) == (
        "it did not end within 0.5 s"
    )
    await gone(int(started.read_text()))
