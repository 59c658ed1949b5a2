"""The mapping lane against the test's own routers: it follows the machine about and trusts no one."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from pairingd.core import strict
from pairingd.core.events import Invite
from pairingd.core.holding_events import Outside, Reflected
from pairingd.core.model import Invitation
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.gateway.pxp.announcements import listen
from pairingd.world.gateway.pxp.datagrams import Datagrams
from pairingd.world.gateway.pxp.natpmp import NatPmpAdapter
from pairingd.world.gateway.pxp.pcp import PcpAdapter
from pairingd.world.gateway.router import Router
from pairingd.world.gateway.upnp.mappings import UpnpAdapter
from pairingd.world.keyscan import Sight
from tests.core.make import START, invitation
from tests.fakes.igd import FakeIgd, Quirk
from tests.fakes.pxp import FakePxp
from tests.waiting import WAIT_S
from tests.world.gateway.conftest import free_port

HOME = Network("eth0", "127.0.0.1", "127.0.0.1", "02:00:00:00:00:01")
OFFICE = Network("eth0", "127.0.0.1", "127.0.0.1", "02:00:00:00:00:02")
DOOR = 50111
PORT = 50022
HIGH_PORT = 50023


class Laptop(Struct):
    """What the lane sees of its machine. `now` and `slept` are in seconds."""

    store: Store
    database: Path
    now: float = START + 1.0
    slept: float = 0.0
    network: Network | None = HOME
    door: int | None = DOOR
    occupied: bool = False
    told: list[str] = field(default_factory=list)
    sight: Sight = Sight.UNSURE  # what stands where our door should be seen from outside
    looked: list[tuple[str, int]] = field(default_factory=list)
    signals: Signals = field(default_factory=Signals)

    def clock(self) -> float:
        return self.now

    async def look(self, host: str, port: int, _router: str) -> Sight:
        self.looked.append((host, port))
        return self.sight

    async def locate(self) -> Network | None:
        return self.network

    def kinds(self) -> list[str]:
        return [event.kind for event in self.store.history(0, 1000)]


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    database = tmp_path / "state.db"
    with closing(Store.open(database, START)) as store:
        yield Laptop(store, database)


@asynccontextmanager
async def lane_of(
    laptop: Laptop,
    *adapters: Any,
    announced_at: int = 0,
    port: int = PORT,
    hole: bool = False,
    door_address: str = "",
) -> AsyncIterator[MappingLane]:
    """A lane whose passes are the test's to call; the invitation is made if there is none."""
    laptop.signals = Signals()
    intent = Intent(laptop.store, laptop.clock, laptop.signals)
    guest: Invitation = invitation()
    if not intent.state.live:
        intent.apply(Invite("s1", (guest,), port))
    router = Router(config.Router(), laptop.store, laptop.clock, adapters=adapters)
    lane = MappingLane(
        intent,
        laptop.store,
        router,
        laptop.locate,
        lambda: laptop.door,
        laptop.clock,
        laptop.signals,
        look=laptop.look,
        hole_port=(lambda _: HIGH_PORT) if hole else None,
        door_address=door_address,
        occupied=lambda: laptop.occupied,
        asleep=lambda: laptop.slept,
        listen=partial(listen, port=announced_at or free_port()),
    )
    laptop.signals.endpoint_changed.connect(laptop.told.append)
    try:
        yield lane
    finally:
        door, laptop.door = laptop.door, None
        for entry in laptop.store.mappings():
            laptop.store.erase(entry.id)
        await lane.one_pass()  # which lets go of the sockets
        laptop.door = door


def upnp(laptop: Laptop, igd: FakeIgd, **settings: object) -> UpnpAdapter:
    given = {"description_url": igd.description_url} | settings
    return UpnpAdapter(strict.read(config.Router, given), laptop.clock)


def pcp(laptop: Laptop, gateway: FakePxp) -> PcpAdapter:
    return PcpAdapter(Datagrams(gateway.port), laptop.clock, steady=laptop.clock)


def natpmp(laptop: Laptop, gateway: FakePxp) -> NatPmpAdapter:
    return NatPmpAdapter(Datagrams(gateway.port), laptop.clock, steady=laptop.clock)


async def passes(lane: MappingLane, laptop: Laptop, seconds: float) -> None:
    """Let `seconds` go by, with a pass whenever the lane wants one."""
    end = laptop.now + seconds
    while laptop.now < end:
        deadline = await lane.one_pass()
        assert deadline is not None
        laptop.now = min(max(deadline, laptop.now), end)
    await lane.one_pass()


async def test_a_new_mapping_is_read_back_three_times_and_then_within_each_minute(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        looked, after = [], laptop.now
        for _ in range(5):
            before = igd.counts["GetSpecificPortMappingEntry"]
            deadline = await lane.one_pass()
            assert igd.counts["GetSpecificPortMappingEntry"] == before
            assert deadline is not None
            laptop.now = deadline
            await lane.one_pass()
            assert igd.counts["GetSpecificPortMappingEntry"] > before
            looked.append(deadline - after)
        assert looked == [1, 5, 30, 85, 140]
        assert igd.counts["AddPortMapping"] == 1


async def test_no_port_is_requested_for_a_door_that_listens_elsewhere_and_an_old_one_is_closed(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd:
        async with lane_of(laptop, upnp(laptop, igd), door_address="127.0.0.1") as lane:
            await lane.one_pass()
            assert list(igd.mappings) == [PORT]
            [entry] = laptop.store.mappings()
        laptop.store.record(entry)  # as a killed daemon leaves it
        async with lane_of(laptop, upnp(laptop, igd), door_address="::1") as lane:
            with pytest.raises(GatewayError, match=r"127\.0\.0\.1 only.* listens at ::1") as caught:
                await lane.one_pass()
            assert caught.value.code == "no-gateway"
            assert igd.mappings == {}
            assert laptop.store.mappings() == []
            assert igd.counts["AddPortMapping"] == 1


async def test_the_current_mapping_is_known_without_reading_the_journal(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        statements: list[str] = []
        laptop.store._database.set_trace_callback(statements.append)
        assert lane.current
        assert lane.seen
        assert statements == []
        laptop.store._database.set_trace_callback(None)


async def test_an_ignored_renewal_is_fixed_by_deleting_and_adding(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        igd.quirks.add(Quirk.RENEWAL_IGNORED)
        igd.age(PORT, 301)
        await passes(lane, laptop, 301)
        assert igd.mappings[PORT].remaining() > 590
        assert lane.current
        assert (lane.current.granted_until or 0) > laptop.now + 590


async def test_a_purged_mapping_is_re_created_within_a_minute(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await passes(lane, laptop, 200)
        igd.reboot()
        lost_at = laptop.now
        while not igd.mappings:
            laptop.now = min(laptop.now + 1, lost_at + 61)
            await lane.one_pass()
        assert laptop.now <= lost_at + 60
        assert "mapping-lost" in laptop.kinds()


@pytest.mark.parametrize("speaks", [pcp, natpmp], ids=["PCP", "NAT-PMP"])
async def test_epoch_reset_readds_within_a_minute(laptop: Laptop, speaks: Any) -> None:
    async with FakePxp() as gateway, lane_of(laptop, speaks(laptop, gateway)) as lane:
        began = laptop.now
        while laptop.now < began + 200:
            deadline = await lane.one_pass()
            laptop.now = max(deadline or 0, laptop.now)
            gateway.epoch = 1000 + round(laptop.now - began)
        assert "mapping-lost" not in laptop.kinds()
        gateway.reboot()
        lost_at = laptop.now
        while not gateway.held:
            gateway.epoch = round(laptop.now - lost_at)
            deadline = await lane.one_pass()
            laptop.now = max(deadline or 0, laptop.now)
        assert laptop.now <= lost_at + 60


@pytest.mark.skipif(sys.platform == "darwin", reason="no multicast on loopback")
@pytest.mark.parametrize("speaks", [pcp, natpmp], ids=["PCP", "NAT-PMP"])
@pytest.mark.parametrize("true", [True, False], ids=["true", "forged"])
async def test_an_announced_restart_is_checked_at_once_and_a_forged_one_costs_one_request(
    laptop: Laptop, speaks: Any, true: bool
) -> None:
    port = free_port()
    async with (
        FakePxp() as gateway,
        lane_of(laptop, speaks(laptop, gateway), announced_at=port) as lane,
    ):
        await lane.one_pass()
        for after in (1, 4, 25):  # the early looks
            laptop.now += after
            gateway.epoch += after
            await lane.one_pass()
        laptop.now += 20
        gateway.epoch += 20
        if true:
            gateway.reboot()
        [held] = laptop.store.mappings()
        asked = len(gateway.packets)
        lane._wake.clear()
        gateway.announces(port)
        async with asyncio.timeout(WAIT_S):
            await lane._wake.wait()
        await lane.one_pass()
        assert list(gateway.held) == [DOOR]
        assert [entry.id for entry in laptop.store.mappings()] == [held.id]
        assert ("mapping-lost" in laptop.kinds()) == true
        if not true:
            assert len(gateway.packets) == asked + 1
            await lane.one_pass()
            assert len(gateway.packets) == asked + 1


async def test_announcements_are_listened_for_only_while_pcp_or_natpmp_hold_the_mapping(
    laptop: Laptop,
) -> None:
    port = free_port()
    async with (
        FakePxp() as gateway,
        lane_of(laptop, pcp(laptop, gateway), announced_at=port) as lane,
    ):
        assert not is_taken(port)
        await lane.one_pass()
        await lane.one_pass()
        assert is_taken(port)
        laptop.door = None
        await lane.one_pass()
        assert not is_taken(port)
    laptop.door = DOOR
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd), announced_at=port) as lane:
        await lane.one_pass()
        await lane.one_pass()
        assert lane.current
        assert not is_taken(port)


async def test_a_mapping_opened_before_the_router_was_disabled_is_closed(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd:
        async with lane_of(laptop, upnp(laptop, igd)) as lane:
            await lane.one_pass()
            [held] = laptop.store.mappings()
            assert igd.mappings
        laptop.store.record(held)
        async with lane_of(laptop, upnp(laptop, igd)) as lane:
            lane.enabled = False
            await lane.one_pass()
            assert not igd.mappings
            assert laptop.store.mappings() == []
            asked = sum(igd.counts.values())
            await lane.one_pass()
            assert sum(igd.counts.values()) == asked


def is_taken(port: int) -> bool:
    """Whether somebody listens to announcements there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exclusive:
        try:
            exclusive.bind(("224.0.0.1", port))
        except OSError:
            return True
    return False


async def test_a_false_alarm_of_the_epoch_leaves_the_one_mapping(laptop: Laptop) -> None:
    async with FakePxp() as gateway, lane_of(laptop, pcp(laptop, gateway)) as lane:
        await lane.one_pass()
        [held] = laptop.store.mappings()
        gateway.epoch -= 500
        await passes(lane, laptop, 2)
        assert "mapping-lost" in laptop.kinds()
        assert [entry.id for entry in laptop.store.mappings()] == [held.id]
        assert list(gateway.held) == [DOOR]


async def test_a_lost_mapping_is_re_created_at_once_after_a_sleep(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await passes(lane, laptop, 40)
        igd.reboot()
        laptop.now += 25  # before the next look is due
        laptop.slept += 25
        await lane.one_pass()
        assert list(igd.mappings) == [PORT]


async def test_a_port_taken_by_another_machine_is_left_alone_and_another_requested(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        [ours] = laptop.store.mappings()
        igd.reboot()
        igd.add_by_hand(PORT, "192.168.7.7", 80)
        laptop.now += 1
        await lane.one_pass()
        assert laptop.store.mappings() == []
        assert lane.current is None
        assert "mapping-lost" in laptop.kinds()
        await lane.one_pass()
        assert lane.current
        assert lane.current.external_port != ours.external_port
        assert igd.mappings[PORT].client == "192.168.7.7"
        assert igd.counts["DeletePortMapping"] == 0


async def test_a_router_that_is_silent_is_not_taken_to_have_lost_the_mapping(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        held = laptop.store.mappings()
        igd.hang_up |= ASKED
        laptop.now += 1
        for _ in range(2):
            with pytest.raises(GatewayError) as caught:
                await lane.one_pass()
            assert caught.value.code == "router-silent"
        assert laptop.store.mappings() == held
        assert "mapping-lost" not in laptop.kinds()
        assert igd.counts["AddPortMapping"] == 1
        igd.hang_up.clear()
        await lane.one_pass()
        assert [entry.id for entry in laptop.store.mappings()] == [held[0].id]


async def test_a_short_nap_changes_nothing(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await passes(lane, laptop, 40)
        adds = igd.counts["AddPortMapping"]
        laptop.now += 10
        laptop.slept += 10
        await lane.one_pass()
        assert igd.counts["AddPortMapping"] == adds


async def test_a_sleep_past_the_lease_leaves_one_mapping(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        igd.reboot()
        laptop.now += 2000
        laptop.slept += 2000
        await lane.one_pass()
        assert list(igd.mappings) == [PORT]
        assert len(laptop.store.mappings()) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["the router has it", "the router lost it"])
async def test_sleep_past_expiry_closes_first(laptop: Laptop, lost: bool) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        if lost:
            igd.reboot()
        laptop.now += 4000
        laptop.slept += 4000
        assert laptop.door  # the lane that shuts it has not had its turn yet
        assert await lane.one_pass() is None
        assert not igd.mappings
        assert laptop.store.mappings() == []
        assert igd.counts["AddPortMapping"] == 1


async def test_after_a_change_of_network_nothing_is_deleted_and_the_new_endpoint_announced(
    laptop: Laptop,
) -> None:
    async with (
        FakeIgd() as home,
        FakeIgd(external_host="5.5.5.2") as office,
        lane_of(laptop, Roaming({HOME: upnp(laptop, home), OFFICE: upnp(laptop, office)})) as lane,
    ):
        await lane.one_pass()
        assert laptop.told == []
        laptop.network = OFFICE
        await lane.one_pass()
        assert list(office.mappings) == list(home.mappings) == [PORT]
        assert home.counts["DeletePortMapping"] == office.counts["DeletePortMapping"] == 0
        [told] = laptop.told
        assert f"ssh -p {PORT}" in told
        assert told.endswith("@5.5.5.2")
        assert "endpoint-changed" in laptop.kinds()
        laptop.door = None
        await lane.one_pass()
        assert not office.mappings
        assert list(home.mappings) == [PORT]
        laptop.network = HOME
        await lane.one_pass()
        assert not home.mappings
        assert laptop.store.mappings() == []


async def test_a_return_to_the_network_is_noticed_without_a_notification(laptop: Laptop) -> None:
    async with FakePxp() as home, lane_of(laptop, natpmp(laptop, home)) as lane:
        await lane.one_pass()
        laptop.door = laptop.network = None
        deadline = await lane.one_pass()
        assert deadline is not None
        laptop.now, laptop.network = deadline, HOME
        assert await lane.one_pass() is None
        assert not home.held


@pytest.mark.parametrize("moves", [False, True])
async def test_a_restarted_daemon_announces_only_a_changed_endpoint(
    laptop: Laptop, moves: bool
) -> None:
    async with (
        FakeIgd() as home,
        FakeIgd(external_host="5.5.5.2") as office,
    ):
        roaming = Roaming({HOME: upnp(laptop, home), OFFICE: upnp(laptop, office)})
        async with lane_of(laptop, roaming) as lane:
            await lane.one_pass()
        if moves:
            laptop.network = OFFICE
        for _ in range(2):  # and once is enough
            async with lane_of(laptop, roaming) as lane:
                await lane.one_pass()
                await lane.one_pass()
        assert [text.rpartition("@")[2] for text in laptop.told] == ["5.5.5.2"] * moves
        assert laptop.kinds().count("endpoint-changed") == moves


async def test_a_changed_endpoint_is_announced_once_even_if_it_cannot_be_saved(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        igd.external_host = "5.5.5.3"
        laptop.door = DOOR + 1
        laptop.store._database.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON session BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        await lane.one_pass()
        await lane.one_pass()
        assert len(laptop.told) == 1


async def test_returning_to_a_held_mapping_announces_it_and_requests_no_other(
    laptop: Laptop,
) -> None:
    async with (
        FakeIgd() as home,
        FakeIgd(external_host="5.5.5.2") as office,
        lane_of(laptop, Roaming({HOME: upnp(laptop, home), OFFICE: upnp(laptop, office)})) as lane,
    ):
        await lane.one_pass()
        for network in (OFFICE, HOME):
            laptop.network = network
            await lane.one_pass()
        assert home.counts["AddPortMapping"] == 1
        assert laptop.told[-1].endswith("@5.5.5.1")


UNNAMED = replace(HOME, gateway_mac="")


async def test_a_gateway_that_says_its_mac_only_later_is_the_same_one_and_the_next_is_not(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as home, FakeIgd(external_host="5.5.5.2") as office:
        at_home, at_office = upnp(laptop, home), upnp(laptop, office)
        roaming = Roaming({UNNAMED: at_home, HOME: at_home, OFFICE: at_office})
        async with lane_of(laptop, roaming) as lane:
            laptop.network = UNNAMED
            await lane.one_pass()
            laptop.network = HOME
            await lane.one_pass()
            assert home.counts["AddPortMapping"] == 1
            laptop.network = OFFICE
            await lane.one_pass()
            assert list(home.mappings) == list(office.mappings) == [PORT]
            assert home.counts["DeletePortMapping"] == office.counts["DeletePortMapping"] == 0
            laptop.door = None
            laptop.network = HOME
            await lane.one_pass()
            assert not home.mappings


async def test_a_mapping_made_before_the_mac_was_known_is_closed_by_the_next_daemon(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd:
        laptop.network = UNNAMED
        async with lane_of(laptop, upnp(laptop, igd)) as lane:
            await lane.one_pass()
            [held] = laptop.store.mappings()
        laptop.store.record(held)
        laptop.door, laptop.network = None, HOME
        async with lane_of(laptop, upnp(laptop, igd)) as lane:
            await lane.one_pass()
            assert not igd.mappings
            assert laptop.store.mappings() == []


@pytest.mark.parametrize("anew", [False, True], ids=["the same daemon", "a new one"])
async def test_a_gateway_that_does_not_show_its_mac_is_asked_nothing_where_it_may_be_another(
    laptop: Laptop, anew: bool
) -> None:
    async with FakePxp() as home:
        async with lane_of(laptop, natpmp(laptop, home)) as first:
            await first.one_pass()
            [held] = laptop.store.mappings()
            assert first.current
            home.packets.clear()
            laptop.network = UNNAMED
            with pytest.raises(GatewayError, match="does not answer"):
                await first.one_pass()
            assert first.current  # it may still be there
            laptop.door = None
            with pytest.raises(GatewayError, match="does not answer"):
                await first.one_pass()
            if not anew:
                assert home.packets == []
                laptop.network = HOME
                await first.one_pass()
                assert not home.held
                return
            laptop.store.erase(held.id)
        laptop.store.record(held)
        async with lane_of(laptop, natpmp(laptop, home)) as second:
            laptop.network = UNNAMED
            with pytest.raises(GatewayError, match="does not answer"):
                await second.one_pass()
            assert home.packets == []
            assert laptop.store.mappings() == [held]


async def test_a_mapping_is_not_current_while_the_network_cannot_be_identified(
    laptop: Laptop,
) -> None:
    async with FakePxp() as home, lane_of(laptop, natpmp(laptop, home)) as lane:
        for laptop.network in (HOME, replace(HOME, interface="wlan0")):
            await lane.one_pass()
        assert lane.current
        laptop.network = UNNAMED
        with pytest.raises(GatewayError, match="does not answer"):
            await lane.one_pass()
        assert lane.current is None


async def test_a_gateway_that_never_shows_a_mac_has_its_mapping_renewed_and_closed(
    laptop: Laptop,
) -> None:
    laptop.network = UNNAMED
    async with FakePxp() as igd, lane_of(laptop, natpmp(laptop, igd)) as lane:
        await passes(lane, laptop, 700)
        assert list(igd.held) == [DOOR]
        laptop.door = None
        await lane.one_pass()
        assert not igd.held
        assert laptop.store.mappings() == []


async def test_a_mapping_that_cannot_be_closed_does_not_prevent_a_new_one(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        igd.quirks.add(Quirk.DELETE_IGNORED)
        laptop.door = DOOR + 1
        with pytest.raises(GatewayError):
            await lane.one_pass()
        assert lane.current
        assert lane.current.internal_port == DOOR + 1


async def test_an_expired_mapping_that_cannot_be_closed_is_not_retried(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        [held] = laptop.store.mappings()
        assert held.granted_until is not None
        igd.quirks.add(Quirk.DELETE_IGNORED)
        laptop.door = None
        laptop.now = held.granted_until
        assert await lane.one_pass() is None
        assert laptop.store.mappings() == [held]


async def test_mappings_missing_from_the_journal_are_swept_once_per_network(laptop: Laptop) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        igd.add_by_hand(2022, HOME.address, 1, "pairingd0badcafe")
        igd.add_by_hand(8080, HOME.address, 1)
        await passes(lane, laptop, 2)
        assert sorted(igd.mappings) == [8080, PORT]
        assert "recovered" in laptop.kinds()
        igd.add_by_hand(2022, HOME.address, 1, "pairingd0badcafe")
        await passes(lane, laptop, 100)
        assert 2022 in igd.mappings


@pytest.mark.parametrize("comes_back", [False, True])
async def test_another_protocol_is_used_within_a_minute_after_one_is_gone(
    laptop: Laptop, comes_back: bool
) -> None:
    async with FakePxp() as gateway, FakeIgd(quirks={Quirk.NO_WAN_SERVICE}) as igd:
        adapters = pcp(laptop, gateway), upnp(laptop, igd)
        async with lane_of(laptop, *adapters) as lane:
            await lane.one_pass()
            [first] = laptop.store.mappings()
            assert first.protocol == "pcp"
            laptop.now += 31
            await gateway.close()
            igd.quirks.clear()
            gone_at = laptop.now
            while not (lane.current and lane.current.protocol == "upnp"):
                try:
                    laptop.now = max(await lane.one_pass() or 0.0, laptop.now)
                except GatewayError:
                    laptop.now += 0.5
                assert laptop.now <= gone_at + 60
            assert list(igd.mappings) == [PORT]
            left, held = laptop.store.mappings()
            assert (left.id, left.granted_until) == (first.id, first.granted_until)
            assert laptop.kinds().count("mapping-lost") == 1
            with pytest.raises(GatewayError, match="not speak PCP or NAT-PMP"):
                await lane.one_pass()
            if comes_back:
                await gateway.__aenter__()
                await lane.one_pass()
                assert gateway.held == {}
                assert laptop.store.mappings() == [held]
            else:
                laptop.now = first.granted_until or 0.0
                await lane.one_pass()  # and nobody is troubled by what ended by itself
            assert lane.current
            assert lane.current.id == held.id


async def test_a_silent_router_s_journal_does_not_grow(laptop: Laptop) -> None:
    silent = Scripted()
    async with lane_of(laptop, silent) as lane:
        for _ in range(3):
            with pytest.raises(GatewayError):
                await lane.one_pass()
        assert len(laptop.store.mappings()) == 1


async def test_a_protocol_that_fell_silent_keeps_no_other_from_serving(laptop: Laptop) -> None:
    silent = Scripted()
    silent.protocol = "pcp"
    async with FakeIgd() as igd, lane_of(laptop, silent, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        left, held = laptop.store.mappings()
        assert (left.protocol, held.protocol) == ("pcp", "upnp")
        assert held.renew_at is not None
        laptop.now = held.renew_at
        with pytest.raises(GatewayError, match="router-silent"):
            await lane.one_pass()
        assert igd.counts["AddPortMapping"] == 2
        laptop.door = DOOR + 1
        with pytest.raises(GatewayError, match="router-silent"):
            await lane.one_pass()
        assert igd.mappings[PORT].internal_port == DOOR + 1
        assert [entry.protocol for entry in laptop.store.mappings()] == ["pcp", "upnp"]


async def test_an_expired_mapping_of_a_silent_protocol_is_not_waited_for(laptop: Laptop) -> None:
    silent = Scripted()
    silent.protocol = "pcp"
    async with FakeIgd() as igd, lane_of(laptop, silent, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        left, held = laptop.store.mappings()
        laptop.store.erase(held.id)
        laptop.store.record(replace(left, granted_until=laptop.now, renew_at=laptop.now))
        await lane.one_pass()
        assert lane.current
        assert lane.current.protocol == "upnp"
        laptop.door = None
        assert await lane.one_pass() is None


class Scripted:
    """An adapter whose router answers to the search and to nothing else."""

    protocol = "upnp"

    async def probe(self, network: Network) -> bool:
        return True

    async def open(self, wanted: Any, lease: int, **more: Any) -> Any:
        raise GatewayError("router-silent", "", "")

    async def close(self, mapping: Any) -> None:
        raise GatewayError("router-silent", "", "")


class Stuck(Scripted):
    """Its router never ends an addition, and deletes at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def open(self, wanted: Any, lease: int, **more: Any) -> Any:
        self.asked.set()
        await asyncio.Event().wait()

    async def close(self, mapping: Any) -> None:
        pass


async def test_once_the_door_is_closed_a_pending_port_request_is_not_waited_for(
    laptop: Laptop,
) -> None:
    stuck = Stuck()
    async with lane_of(laptop, stuck) as lane:
        running = asyncio.create_task(lane.run())
        await stuck.asked.wait()
        assert len(laptop.store.mappings()) == 1
        laptop.door = None
        async with asyncio.timeout(WAIT_S):
            await lane.settle()
        assert lane.error is None
        assert laptop.store.mappings() == []
        running.cancel()


BEHIND = Network("eth0", "127.0.0.1", "192.168.1.1")


@pytest.mark.parametrize("sight", [Sight.OUR_DOOR, Sight.UNSURE, Sight.NOBODY])
async def test_our_host_key_seen_outside_proves_the_endpoint_and_its_absence_nothing(
    laptop: Laptop, sight: Sight
) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        laptop.sight = sight
        await lane.one_pass()
        await asyncio.sleep(0)
        assert laptop.looked == [("5.5.5.1", PORT)]
        assert lane.current
        outcome = "hairpin" if sight is Sight.OUR_DOOR else "readback"
        assert lane.seen == {lane.current.id: outcome}
        await passes(lane, laptop, 1000)
        assert (laptop.kinds().count("mapping-opened"), igd.counts["DeletePortMapping"]) == (1, 0)


@pytest.mark.attack(
    "a router lists the mapping, and leads the port to the host's own sshd",
    "its host key is seen, the mapping deleted, and the router asked for nothing more",
)
async def test_another_server_s_host_key_outside_closes_the_mapping_for_good(
    laptop: Laptop,
) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        laptop.sight = Sight.ANOTHER_SERVER
        await lane.one_pass()
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(GatewayError) as caught:
                await lane.one_pass()
            assert caught.value.code == "router-lied"
        assert (igd.mappings, laptop.store.mappings()) == ({}, [])
        assert igd.counts["AddPortMapping"] == 1


async def test_another_server_s_host_key_has_the_mapping_closed_also_on_a_full_disk(
    laptop: Laptop,
) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        lane._wake.clear()
        full = sqlite3.connect(laptop.database)
        full.execute("BEGIN IMMEDIATE")
        assert lane.current
        lane._notice(Reflected(lane.current, Outside.ANOTHER_SERVER))
        full.close()
        assert lane._wake.is_set()
        laptop.sight = Sight.ANOTHER_SERVER
        first = lane.current
        await lane.one_pass()  # which closes it, and opens another that leads there, too
        await asyncio.sleep(0)
        assert lane.current != first
        with pytest.raises(GatewayError, match="router-lied"):
            await lane.one_pass()
        assert igd.mappings == {}


async def test_a_guest_from_the_internet_shows_that_the_router_honours_internal_ports(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        assert laptop.store.honours(HOME.identity) is None
        laptop.signals.guest_came("9.9.9.9")
        assert laptop.store.honours(HOME.identity) is True


async def test_a_mapping_that_is_purged_again_and_again_is_restored_and_warned_of(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await lane.one_pass()
        for _ in range(8):
            laptop.now += 20
            igd.mappings.clear()
            await lane.one_pass()
        assert lane.unsteady
        assert lane.seen == {}
        deadline = await lane.one_pass()
        assert deadline is not None
        assert deadline - laptop.now <= 5
        assert laptop.kinds()[-1] == "mapping-opened"
        await passes(lane, laptop, 700)
        assert not lane.unsteady
        assert set(lane.seen.values()) == {"readback"}


async def test_a_listed_mapping_that_no_longer_forwards_is_re_created_once(
    laptop: Laptop,
) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        laptop.sight = Sight.OUR_DOOR
        await lane.one_pass()
        await asyncio.sleep(0)
        first = lane.current
        laptop.sight = Sight.NOBODY
        await passes(lane, laptop, 400)  # past a renewal
        assert laptop.kinds().count("mapping-lost") == 1
        assert igd.counts["DeletePortMapping"] == 1
        assert first
        assert lane.current
        assert lane.current.id != first.id
        assert lane.seen == {lane.current.id: "readback"}
        await passes(lane, laptop, 1000)
        assert igd.counts["DeletePortMapping"] == 1


async def test_a_mapping_that_cannot_be_re_created_is_kept(laptop: Laptop) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        laptop.sight = Sight.OUR_DOOR
        await lane.one_pass()
        await asyncio.sleep(0)
        first = lane.current
        laptop.sight = Sight.NOBODY
        igd.quirks.add(Quirk.DELETE_IGNORED)
        laptop.now += 301
        await lane.one_pass()  # which renews it, and looks
        with pytest.raises(GatewayError, match="router-lied"):
            await lane.one_pass()
        await passes(lane, laptop, 1000)
        assert first
        assert lane.current
        assert lane.current.id == first.id
        assert igd.counts["DeletePortMapping"] == 1


async def test_a_door_too_busy_to_show_its_key_does_not_re_create_the_mapping(
    laptop: Laptop,
) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        laptop.sight = Sight.OUR_DOOR
        await lane.one_pass()
        await asyncio.sleep(0)
        laptop.sight = Sight.UNSURE
        asked = len(laptop.looked)
        await passes(lane, laptop, 1000)
        assert len(laptop.looked) > asked
        assert igd.counts["DeletePortMapping"] == 0


async def test_evidence_for_an_external_address_does_not_count_for_the_next_one(
    laptop: Laptop,
) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        laptop.sight = Sight.OUR_DOOR
        await lane.one_pass()
        await asyncio.sleep(0)
        [held] = laptop.store.mappings()
        assert lane.seen == {held.id: "hairpin"}
        laptop.signals.guest_came("9.9.9.9")
        assert lane.seen == {held.id: "guest"}
        igd.external_host, laptop.sight = "5.5.5.77", Sight.UNSURE
        await passes(lane, laptop, 301)
        assert lane.current
        assert (lane.current.id, lane.current.external_host) == (held.id, "5.5.5.77")
        assert lane.seen == {held.id: "readback"}
        assert laptop.told[-1].endswith("@5.5.5.77")


async def test_a_new_external_address_is_checked_even_if_hairpinning_failed_before(
    laptop: Laptop,
) -> None:
    laptop.network = BEHIND
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        laptop.sight = Sight.NOBODY
        await passes(lane, laptop, 301)
        assert laptop.looked == [("5.5.5.1", PORT)]
        igd.external_host, laptop.sight = "5.5.5.77", Sight.OUR_DOOR
        await passes(lane, laptop, 301)
        await asyncio.sleep(0)
        assert laptop.looked == [("5.5.5.1", PORT), ("5.5.5.77", PORT)]
        assert list(lane.seen.values()) == ["hairpin"]


@pytest.mark.parametrize(
    ("peer", "another"),
    [
        ("9.9.9.9", True),
        ("5.5.5.1", False),  # the router's own, in whose name it turns around who is at home
        ("192.168.1.30", False),
        ("100.64.0.9", False),
        ("2a02::9", False),
    ],
)
async def test_only_a_guest_from_the_internet_proves_that_the_endpoint_works(
    laptop: Laptop, peer: str, another: bool
) -> None:
    async with FakePxp() as gateway, lane_of(laptop, pcp(laptop, gateway)) as lane:
        laptop.signals.guest_came(peer)
        await lane.one_pass()
        assert lane.seen == {}
        laptop.signals.guest_came(peer)
        assert list(lane.seen.values()) == ["guest"] * another


ASKED = {"GetSpecificPortMappingEntry", "GetExternalIPAddress", "GetStatusInfo"}  # in a look


async def test_a_mapping_is_read_back_only_as_long_as_looks_succeed(laptop: Laptop) -> None:
    async with FakeIgd() as igd:
        async with lane_of(laptop, upnp(laptop, igd)) as lane:
            await lane.one_pass()
            [held] = laptop.store.mappings()
            assert lane.seen == {held.id: "readback"}
            igd.hang_up |= ASKED
            laptop.now += 1
            with pytest.raises(GatewayError, match="does not answer"):
                await lane.one_pass()
            assert lane.current == held
            assert lane.seen == {}
            igd.hang_up.clear()
            await lane.one_pass()
            assert lane.seen == {held.id: "readback"}
        laptop.store.record(held)
        async with lane_of(laptop, upnp(laptop, igd)) as anew:
            await anew.look_around()
            assert anew.current == held
            assert anew.seen == {}
            await anew.one_pass()
            assert anew.seen == {held.id: "readback"}


@pytest.mark.parametrize(
    ("network", "external"),
    [(HOME, "5.5.5.1"), (BEHIND, "192.168.7.7"), (BEHIND, "100.64.0.1"), (BEHIND, "127.0.0.1")],
)
async def test_an_address_that_is_not_public_or_of_a_demonstration_is_not_looked_at(
    laptop: Laptop, network: Network, external: str
) -> None:
    laptop.network = network
    async with (
        FakeIgd(external_host=external) as igd,
        lane_of(laptop, upnp(laptop, igd)) as lane,
    ):
        laptop.sight = Sight.OUR_DOOR
        await lane.one_pass()
        await asyncio.sleep(0)
        assert lane.current
        assert laptop.looked == []


class Roaming:
    """An adapter that asks the router of the network it is told of."""

    protocol = "upnp"

    def __init__(self, at: dict[Network, UpnpAdapter]) -> None:
        self._at = {network.identity: adapter for network, adapter in at.items()}

    async def probe(self, network: Network) -> bool:
        return await self._at[network.identity].probe(network)

    async def open(self, wanted: Any, lease: int, **more: Any) -> Any:
        return await self._at[wanted.network].open(wanted, lease, **more)

    async def renew(self, mapping: Any, lease: int, **more: Any) -> Any:
        return await self._at[mapping.network].renew(mapping, lease, **more)

    async def check(self, mapping: Any, **more: Any) -> Any:
        return await self._at[mapping.network].check(mapping, **more)

    async def close(self, mapping: Any) -> None:
        await self._at[mapping.network].close(mapping)


async def test_behind_the_providers_nat_a_port_for_a_hole_is_requested(laptop: Laptop) -> None:
    async with (
        FakeIgd(external_host="100.64.3.4") as igd,
        lane_of(laptop, upnp(laptop, igd), port=22, hole=True) as lane,
    ):
        first_pass = asyncio.create_task(lane.one_pass())
        while not first_pass.done():
            assert lane.opening or HIGH_PORT in igd.mappings
            await asyncio.sleep(0)
        await first_pass
        assert not lane.opening
        assert list(igd.mappings) == [HIGH_PORT]
        await passes(lane, laptop, 400)
        assert list(igd.mappings) == [HIGH_PORT]


@pytest.mark.parametrize(("host", "hole"), [("5.5.5.1", True), ("100.64.3.4", False)])
async def test_without_a_carrier_nat_or_a_stun_server_the_usual_port_is_requested(
    laptop: Laptop, host: str, hole: bool
) -> None:
    async with (
        FakeIgd(external_host=host) as igd,
        lane_of(laptop, upnp(laptop, igd), port=22, hole=hole) as lane,
    ):
        await lane.one_pass()
        assert list(igd.mappings) == [22]


async def test_while_a_guest_is_in_the_router_is_asked_less_and_a_loss_is_noticed_as_soon(
    laptop: Laptop,
) -> None:
    async with FakeIgd() as igd, lane_of(laptop, upnp(laptop, igd)) as lane:
        await passes(lane, laptop, 60)
        laptop.signals.guest_came("9.9.9.9")
        laptop.occupied = True
        await passes(lane, laptop, 60)
        looks, addresses = (f"Get{of}" for of in ("SpecificPortMappingEntry", "ExternalIPAddress"))
        asked = igd.counts[looks], igd.counts[addresses]
        await passes(lane, laptop, 60)
        assert (igd.counts[looks], igd.counts[addresses]) == (asked[0] + 1, asked[1])
        igd.mappings.clear()  # silently, without a restart
        await passes(lane, laptop, 60)
        assert igd.mappings
        igd.external_host = "5.5.5.2"
        laptop.occupied = False
        await passes(lane, laptop, 60)
        assert lane.current is not None
        assert lane.current.external_host == "5.5.5.2"
