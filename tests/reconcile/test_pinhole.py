"""The IPv6 lane against gateways on ::1."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pairingd.assembly import _wants_pinhole
from pairingd.core import strict
from pairingd.core.events import Invite
from pairingd.core.holding_state import PINHOLE
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.gateway.adapter import Adapter
from pairingd.world.gateway.pinholes import Pinholes
from pairingd.world.gateway.pxp.datagrams import Datagrams
from pairingd.world.gateway.pxp.pcp import PcpPinholes
from pairingd.world.gateway.upnp import ssdp
from pairingd.world.gateway.upnp.pinholes import UpnpPinholes
from tests.core.make import START, invitation
from tests.fakes.igd import FakeIgd
from tests.fakes.pxp import FakePxp, has_ipv6_loopback, silence

pytestmark = pytest.mark.skipif(not has_ipv6_loopback(), reason="there is no ::1 here")
DOOR = 50111


class House:
    """One lane, its router, and what it sees. `now` is in seconds."""

    def __init__(self, gateway: FakePxp, store: Store) -> None:
        self.gateway = gateway
        self.now = START + 1.0
        self.network: Network | None = Network("lo", "::1", "::1")
        self.door: int | None = DOOR
        self.store = store
        self.signals = Signals()
        self.intent = Intent(store, self.clock, self.signals)
        self.intent.apply(Invite("s1", (invitation(),), 22))
        self.speaks(["pcp"])

    def speaks(self, protocols: list[str], igd: FakeIgd | None = None) -> None:
        adapters: list[Adapter] = [
            PcpPinholes(Datagrams(self.gateway.port), self.clock, steady=self.clock),
            UpnpPinholes(self.clock, ssdp_port=igd.ssdp_port if igd else ssdp.PORT),
        ]
        settings = strict.read(config.Router, {"protocols": protocols})
        router = Pinholes(settings, self.store, self.clock, adapters=adapters)
        self.lane = MappingLane(
            self.intent,
            self.store,
            router,
            self.locate,
            lambda: self.door,
            self.clock,
            self.signals,
            policy=PINHOLE,
        )

    def clock(self) -> float:
        return self.now

    async def locate(self) -> Network | None:
        return self.network


@pytest.fixture
async def gateway() -> AsyncIterator[FakePxp]:
    async with FakePxp(address="::1", external="::1") as gateway:
        yield gateway


@pytest.fixture
async def house(gateway: FakePxp, store: Store) -> AsyncIterator[House]:
    house = House(gateway, store)
    yield house
    house.door = None
    for entry in house.store.mappings():
        house.store.erase(entry.id)
    await house.lane.one_pass()  # which lets go of the route socket


async def test_the_doors_own_port_is_let_through_and_closed_with_it(
    gateway: FakePxp, house: House
) -> None:
    await house.lane.one_pass()
    assert gateway.held[DOOR].external_port == DOOR
    assert len(house.store.mappings()) == 1
    house.door = None
    await house.lane.one_pass()
    assert gateway.held == {}
    assert house.store.mappings() == []


async def test_a_pinhole_is_re_created_instead_of_renewed(gateway: FakePxp, house: House) -> None:
    await house.lane.one_pass()
    [held] = house.store.mappings()
    assert held.renew_at
    gateway.packets.clear()
    house.now = held.renew_at
    await house.lane.one_pass()
    lifetimes = [int.from_bytes(packet[4:8]) for packet in gateway.packets if packet[1] == 1]
    assert lifetimes == [0, 600]
    assert list(gateway.held) == [DOOR]


@pytest.mark.parametrize("result", [None, 2, 4, 8, 9, 11])  # of RFC 6887 §7.4
async def test_upnp_is_used_if_pcp_is_silent_or_refuses(
    gateway: FakePxp, house: House, result: int | None
) -> None:
    if result is None:
        gateway.twist = silence
    else:
        gateway.result = result
    async with FakeIgd(address="::1", ssdp=True, version=2) as igd:
        house.speaks(["pcp", "upnp"], igd)
        await house.lane.one_pass()
        assert [hole.port for hole in igd.pinholes.values()] == [DOOR]
        assert [mapping.protocol for mapping in house.store.mappings()] == ["upnp"]
        await house.lane.one_pass()
        house.door = None
        await house.lane.one_pass()
        assert (igd.pinholes, house.store.mappings()) == ({}, [])


async def test_the_refusal_of_each_protocol_counts(gateway: FakePxp, house: House) -> None:
    gateway.result = 8
    async with FakeIgd(address="::1", ssdp=True, version=2) as igd:
        igd.failing["AddPinhole"] = 606
        house.speaks(["pcp", "upnp"], igd)
        with pytest.raises(GatewayError) as caught:
            await house.lane.one_pass()
    assert caught.value.code == "not-permitted"
    assert house.store.mappings() == []


@pytest.mark.parametrize(
    ("protocols", "spoken"),
    [(["upnp", "pcp"], "upnp"), (["pcp", "upnp"], "pcp"), (["natpmp", "upnp"], "upnp")],
)
async def test_protocols_are_tried_as_they_are_configured(
    gateway: FakePxp, house: House, protocols: list[str], spoken: str
) -> None:
    async with FakeIgd(address="::1", ssdp=True, version=2) as igd:
        house.speaks(protocols, igd)
        await house.lane.one_pass()
        assert [mapping.protocol for mapping in house.store.mappings()] == [spoken]
        assert bool(gateway.packets) == (spoken == "pcp")
        assert bool(igd.counts) == (spoken == "upnp")


@pytest.mark.parametrize(
    ("router", "asked"),
    [
        ({}, True),
        ({"protocols": ["upnp"]}, True),
        ({"protocols": ["pcp", "natpmp"]}, True),
        ({"protocols": ["natpmp"]}, False),
        ({"enabled": False}, False),
        ({"gateway": "192.168.1.1"}, False),
    ],
)
def test_the_configuration_decides_whether_a_pinhole_is_requested(
    router: dict[str, object], asked: bool
) -> None:
    assert _wants_pinhole(strict.read(config.Router, router)) == asked


@pytest.mark.parametrize("kind", ["silent", "without PCP", "nobody there"])
async def test_nothing_is_journaled_if_no_pinhole_is_available(
    gateway: FakePxp, house: House, kind: str
) -> None:
    match kind:
        case "silent":
            gateway.twist = silence
        case "without PCP":
            gateway.pcp = False
        case "nobody there":
            await gateway.close()
    with pytest.raises(GatewayError) as caught:
        await house.lane.one_pass()
    assert caught.value.code == "no-gateway"
    assert house.store.mappings() == []


async def test_a_network_without_ipv6_is_no_error(house: House) -> None:
    house.network = None
    assert await house.lane.one_pass() is None
    assert house.lane.current is None
