"""What a second router, or the provider's server, is asked, and what it is not."""

from __future__ import annotations

import socket

import pytest

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.pxp.datagrams import Datagrams
from pairingd.world.gateway.pxp.pcp import PcpAdapter
from pairingd.world.gateway.upnp import ssdp
from pairingd.world.gateway.upnp.mappings import UpnpAdapter
from tests.fakes.igd import FakeIgd
from tests.fakes.pxp import FakePxp
from tests.loopback import SECOND, needs_second_address
from tests.world.gateway.conftest import NOW, RecordedJournal, free_port, requested, upnp_to
from tests.world.gateway.test_router import Scripted, router

BEYOND = Network("lo", "127.0.0.1", "127.0.0.1", "", "127.0.0.9")
PROVIDER = Network("eth0", "192.168.1.10", "192.0.0.9", "", "100.64.0.7")


def beyond(**other: object) -> Mapping:
    return requested(22, network=BEYOND.identity, internal_host=BEYOND.behind, **other)


async def test_upnp_is_asked_from_our_address_for_the_first_routers(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(beyond(), 600)
    assert igd.mappings[22].client == BEYOND.behind
    await adapter.close(granted)
    assert igd.mappings == {}


async def test_pcp_names_the_first_routers_address_as_the_client() -> None:
    sent: list[tuple[str, bytes]] = []

    def record(sign: str, address: str, data: bytes) -> None:
        sent.append((f"{sign} {address}", data))

    async with FakePxp() as gateway:
        adapter = PcpAdapter(Datagrams(gateway.port, record=record), lambda: NOW)
        assert await adapter.probe(BEYOND)
        granted = await adapter.open(beyond(), 600)
        assert await adapter.check(granted) is Presence.PRESENT
        await adapter.close(granted)
    requests = [data for sign, data in sent if sign == "> 127.0.0.1"]
    assert len(requests) == 4
    assert {data[20:24] for data in requests} == {socket.inet_aton(BEYOND.behind)}


async def test_a_mapping_of_another_machine_behind_the_first_router_is_left_alone(
    igd: FakeIgd,
) -> None:
    adapter = upnp_to(igd)
    await adapter.open(beyond(token="f" * 32, internal_port=50999), 600)
    theirs = dict(igd.mappings)
    with pytest.raises(GatewayError) as caught:
        await upnp_to(igd).open(beyond(), 600)
    assert caught.value.code == "port-taken"
    assert igd.mappings == theirs


async def test_a_second_router_is_found_by_a_search_of_it_alone() -> None:
    async with FakeIgd(ssdp=True) as igd:
        adapter = UpnpAdapter(config.Router(), lambda: NOW, ssdp_port=igd.ssdp_port)
        assert await adapter.probe(BEYOND)


@needs_second_address
async def test_a_second_router_without_ssdp_is_asked_at_the_usual_description_urls() -> None:
    quick = ssdp.Schedule((0.0,), 0.1)
    adapter = UpnpAdapter(config.Router(), lambda: NOW, ssdp_port=free_port(), schedule=quick)
    there = replace(BEYOND, gateway=SECOND)
    assert not await adapter.probe(there)
    async with FakeIgd(port=5000, address=SECOND):
        assert await adapter.probe(there)


async def test_a_search_without_multicast_reaches_the_gateway_alone(igd: FakeIgd) -> None:
    schedule = ssdp.Schedule((0.0,), 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as group:
        group.bind((ssdp.MULTICAST, 0))
        member = socket.inet_aton(ssdp.MULTICAST) + socket.inet_aton("127.0.0.1")
        group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        group.settimeout(0)
        port = group.getsockname()[1]
        await ssdp.search("127.0.0.1", "127.0.0.1", port, schedule=schedule)
        assert group.recv(1500).startswith(b"M-SEARCH")
        while True:
            try:
                group.recv(1500)
            except BlockingIOError:
                break
        await ssdp.search("127.0.0.1", "127.0.0.1", port, schedule=schedule, multicast=False)
        with pytest.raises(BlockingIOError):
            group.recv(1500)


async def test_the_port_that_the_first_router_gave_is_the_second_choice(
    journal: RecordedJournal,
) -> None:
    adapter = Scripted("upnp")
    adapter.refusals = {22: "port-taken"}
    network = replace(BEYOND, behind="127.0.0.1")
    opened = await router(journal, adapter).open(network, internal_port=50111, external_port=22)
    assert (opened.external_port, opened.internal_port) == (50111, 50111)


async def test_the_providers_server_is_asked_by_pcp_alone_and_once(
    journal: RecordedJournal,
) -> None:
    pcp, upnp = Scripted("pcp"), Scripted("upnp")
    pcp.refusals = dict.fromkeys(range(65536), "not-permitted")
    asking = router(journal, pcp, upnp)
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            await asking.open(PROVIDER, internal_port=22, external_port=22)
        assert caught.value.code == "not-permitted"
    assert (pcp.probes, upnp.probes) == (1, 0)
    pcp.refusals = {}
    elsewhere = replace(PROVIDER, behind="100.64.0.8")
    opened = await asking.open(elsewhere, internal_port=22, external_port=22)
    assert opened.internal_host == "100.64.0.8"
    assert (pcp.probes, upnp.probes) == (2, 0)
