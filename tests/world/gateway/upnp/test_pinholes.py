"""Pinholes by UPnP, against a router on ::1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.world.gateway.upnp import ssdp
from pairingd.world.gateway.upnp.pinholes import UpnpPinholes
from tests.fakes.igd import FakeIgd, Pinhole, Quirk
from tests.fakes.pxp import has_ipv6_loopback
from tests.loopback import needs_second_address
from tests.waiting import WAIT_S
from tests.world.gateway import conftest
from tests.world.gateway.conftest import NOW

pytestmark = pytest.mark.skipif(not has_ipv6_loopback(), reason="there is no ::1 here")
HOME = Network("lo", "::1", "::1")
DOOR = 50111


@pytest.fixture
async def igd() -> AsyncIterator[FakeIgd]:
    async with FakeIgd(address="::1", ssdp=True, version=2) as fake:
        yield fake


def adapter(igd: FakeIgd) -> UpnpPinholes:
    """What does not answer is not waited for."""
    brief = ssdp.Schedule((0.0,), 0.5)
    return UpnpPinholes(lambda: NOW, ssdp_port=igd.ssdp_port, schedule=brief, answer_timeout_s=1.0)


def requested(**other: object) -> Mapping:
    here = {"network": HOME.identity, "gateway": HOME.gateway, "internal_host": HOME.address}
    return conftest.requested(DOOR, internal_port=DOOR, **(here | other))


async def refused(igd: FakeIgd) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await adapter(igd).open(requested(), 600)
    return caught.value


# The whole way


async def test_open_returns_the_granted_pinhole(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    assert igd.pinholes == {1: Pinhole("::1", DOOR, 600)}
    assert granted.external_port == DOOR
    assert (granted.granted_until, granted.renew_at) == (NOW + 600, NOW + 300)
    assert dict(granted.handle) == {
        "control_url": f"http://[::1]:{igd.port}/control",
        "service": "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
        "unique_id": "1",
    }


async def test_no_lease_is_longer_than_a_day(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 604800)
    assert igd.pinholes[1].lease == 86400
    assert granted.granted_until == NOW + 86400
    await adapter(igd).renew(granted, 604800)
    assert igd.pinholes[1].lease == 86400


async def test_a_new_process_renews_and_closes_without_a_search(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    igd.counts.clear()
    renewed = await adapter(igd).renew(granted, 900)
    assert igd.pinholes == {1: Pinhole("::1", DOOR, 900)}
    assert renewed.granted_until == NOW + 900
    assert await adapter(igd).check(renewed) is Presence.PRESENT
    assert igd.counts["AddPinhole"] == 0
    await adapter(igd).close(renewed)
    assert igd.pinholes == {}
    assert igd.counts["M-SEARCH"] == 0


async def test_a_pinhole_journaled_before_the_answer_can_be_closed(igd: FakeIgd) -> None:
    igd.hang_up.add("AddPinhole")
    assert (await refused(igd)).code == "router-silent"
    assert igd.pinholes
    igd.hang_up.clear()
    await adapter(igd).close(requested())
    assert igd.pinholes == {}


@pytest.mark.parametrize("last", ["AddPinhole", "GetPinholePackets"])
async def test_a_router_that_dies_with_a_pinhole_is_not_taken_for_none(
    igd: FakeIgd, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what was asked of it would be forgotten."""
    pierce = igd._pierce

    def dies(action: str, values: dict[str, str]) -> dict[str, str]:
        if action == last:
            igd._server.close()
            igd._ssdp.close()
        return pierce(action, values)

    monkeypatch.setattr(igd, "_pierce", dies)
    igd.hang_up.add(last)
    assert (await refused(igd)).code == "router-silent"
    assert igd.pinholes


async def test_closing_a_pinhole_that_was_never_opened_is_no_error(igd: FakeIgd) -> None:
    igd.failing["AddPinhole"] = 606
    await adapter(igd).close(requested())


@needs_second_address
async def test_requests_are_sent_from_the_address_that_guests_connect_to() -> None:
    async with FakeIgd() as igd:
        handle = {
            "control_url": f"http://127.0.0.1:{igd.port}/control",
            "service": "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
            "unique_id": "7",
        }
        entry = requested(internal_host="127.0.0.5", handle=tuple(handle.items()))
        await UpnpPinholes(lambda: NOW).renew(entry, 600)
        assert igd.pinholes == {1: Pinhole("127.0.0.5", DOOR, 600)}


# Routers that say no, or nothing


@pytest.mark.parametrize(
    ("action", "upnp", "code"),
    [
        ("AddPinhole", 606, "not-permitted"),
        ("AddPinhole", 703, "not-permitted"),
        ("AddPinhole", 701, "router-failed"),
        ("GetPinholePackets", 501, "router-failed"),
    ],
)
async def test_refusals_have_names(igd: FakeIgd, action: str, upnp: int, code: str) -> None:
    igd.failing[action] = upnp
    assert (await refused(igd)).code == code


async def test_a_firewall_that_allows_no_pinholes_is_not_asked_for_one(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.NO_PINHOLES)
    assert (await refused(igd)).code == "not-permitted"
    assert igd.counts["AddPinhole"] == 0


async def test_a_firewall_that_is_off_needs_no_pinhole_until_it_is_on(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.FIREWALL_OFF)
    granted = await adapter(igd).open(requested(), 600)
    assert granted.granted_until == NOW + 600
    assert "unique_id" not in dict(granted.handle)
    assert igd.counts["AddPinhole"] == 0
    assert await adapter(igd).check(granted) is Presence.PRESENT
    await adapter(igd).close(granted)
    igd.quirks.clear()
    assert await adapter(igd).check(granted) is Presence.ABSENT
    renewed = await adapter(igd).renew(granted, 600)
    assert dict(renewed.handle)["unique_id"] == "1"


def restarted(igd: FakeIgd, first: Pinhole) -> Pinhole:
    """The router has forgotten all, and gives number 1 anew."""
    igd.pinholes = {1: first}
    return replace(first)


async def test_another_program_s_pinhole_of_our_number_is_not_closed(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    other = restarted(igd, Pinhole("::1", DOOR + 1, 900))
    await adapter(igd).close(granted)
    assert igd.pinholes == {1: other}


async def test_a_pinhole_that_the_router_has_by_another_number_is_closed(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    other = restarted(igd, Pinhole("::1", DOOR + 1, 900))
    igd.pinholes[2] = Pinhole("::1", DOOR, 600)
    await adapter(igd).close(granted)
    assert igd.pinholes == {1: other}


@pytest.mark.parametrize("refuses", [False, True])
async def test_another_machine_s_pinhole_of_our_number_is_not_ours(
    igd: FakeIgd, *, refuses: bool
) -> None:
    pinholes = adapter(igd)
    granted = await pinholes.open(requested(), 600)
    other = restarted(igd, Pinhole("fd00::9", DOOR, 900))
    assert await pinholes.check(granted) is Presence.ABSENT
    if refuses:
        igd.failing["AddPinhole"] = 606
    else:
        renewed = await pinholes.renew(granted, 600)
        assert igd.pinholes == {1: other, 2: Pinhole("::1", DOOR, 600)}
        await pinholes.close(renewed)
    await pinholes.close(granted)
    assert igd.pinholes == {1: other}


async def test_a_pinhole_is_closed_at_a_router_that_opens_no_more(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    igd.quirks.add(Quirk.NO_PINHOLES)
    await adapter(igd).close(granted)
    assert igd.pinholes == {}


@pytest.mark.parametrize("quirk", [None, Quirk.SAYS_402])
async def test_a_lost_pinhole_is_absent_and_re_created_by_renewal(
    igd: FakeIgd, quirk: Quirk | None
) -> None:
    igd.quirks |= {quirk} if quirk else set()
    pinholes = adapter(igd)
    granted = await pinholes.open(requested(), 600)
    igd.pinholes.clear()
    assert await pinholes.check(granted) is Presence.ABSENT
    renewed = await pinholes.renew(granted, 600)
    assert dict(renewed.handle)["unique_id"] == "2"
    await pinholes.close(renewed)
    assert igd.pinholes == {}


async def test_a_pinhole_that_is_dropped_at_once_does_not_count(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.LEASE_DROPPED)
    assert (await refused(igd)).code == "router-lied"


async def test_a_pinhole_that_stays_after_its_deletion_is_an_error(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    igd.quirks.add(Quirk.DELETE_IGNORED)
    with pytest.raises(GatewayError) as caught:
        await adapter(igd).close(granted)
    assert caught.value.code == "router-lied"


async def test_a_refused_deletion_is_an_error(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    igd.failing["DeletePinhole"] = 606
    with pytest.raises(GatewayError) as caught:
        await adapter(igd).close(granted)
    assert caught.value.code == "not-permitted"


async def test_a_failed_check_is_unknown_and_not_absent(igd: FakeIgd) -> None:
    pinholes = adapter(igd)
    granted = await pinholes.open(requested(), 600)
    igd.failing["GetPinholePackets"] = 501
    assert await pinholes.check(granted) is Presence.UNKNOWN
    await igd.__aexit__()
    assert await pinholes.check(granted) is Presence.UNKNOWN


async def test_a_router_that_has_moved_to_another_port_is_found_again(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    handle = dict(granted.handle) | {"control_url": f"http://[::1]:{conftest.free_port()}/control"}
    await adapter(igd).close(replace(granted, handle=tuple(handle.items())))
    assert igd.pinholes == {}


# Routers that are none


@pytest.mark.parametrize(
    "quirk",
    [
        Quirk.OFF_HOST_CONTROL,
        Quirk.NO_WAN_SERVICE,
        Quirk.XML_BOMB,
        Quirk.XML_BOMB_PREFIXED,
        Quirk.XML_BOMB_UNPRINTABLE,
        Quirk.HTTP_ENDLESS,
    ],
)
async def test_a_hostile_or_unusable_description_is_no_gateway(igd: FakeIgd, quirk: Quirk) -> None:
    igd.quirks.add(quirk)
    assert not await adapter(igd).probe(HOME)
    assert igd.counts["GET /rootDesc.xml"] == 1


async def test_a_description_that_arrives_too_slowly_is_no_gateway(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.HTTP_DRIP)
    async with asyncio.timeout(WAIT_S):
        assert not await adapter(igd).probe(HOME)
    assert igd.counts["GET /rootDesc.xml"] == 1


async def test_no_other_host_is_asked_than_the_gateway(igd: FakeIgd) -> None:
    igd.location = f"http://[fd00::9]:{igd.port}/rootDesc.xml"  # as of a gateway of many addresses
    assert await adapter(igd).probe(HOME)
    igd.counts.clear()
    igd.location = f"http://[0:0:0:0:0:0:0:1]:{igd.port}/rootDesc.xml"  # spelled like another
    assert await adapter(igd).probe(HOME)
    assert igd.counts["GET /rootDesc.xml"] == 1


async def test_an_address_where_nobody_answers_is_no_gateway(igd: FakeIgd) -> None:
    assert not await UpnpPinholes(lambda: NOW, ssdp_port=conftest.free_port()).probe(HOME)
    assert not await adapter(igd).probe(Network("lo", "::1", ""))


async def test_an_invalid_answer_to_a_deletion_is_an_error(igd: FakeIgd) -> None:
    granted = await adapter(igd).open(requested(), 600)
    handle = dict(granted.handle) | {"control_url": f"http://[::1]:{igd.port}/login"}
    with pytest.raises(GatewayError) as caught:
        await adapter(igd).close(replace(granted, handle=tuple(handle.items())))
    assert caught.value.code == "router-failed"


async def test_a_router_that_left_after_the_probe_is_the_error_no_gateway(igd: FakeIgd) -> None:
    pinholes = adapter(igd)
    assert await pinholes.probe(HOME)
    await igd.__aexit__()
    with pytest.raises(GatewayError) as caught:
        await pinholes.open(requested(), 600)
    assert caught.value.code == "no-gateway"


async def test_an_unanswered_request_is_the_error_router_silent(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.SOAP_SILENT)
    assert (await refused(igd)).code == "router-silent"


@pytest.mark.parametrize("number", ["", "-1", "70000000", "1<x/>", "\u0664"])
async def test_a_pinhole_without_a_proper_number_is_refused(
    igd: FakeIgd, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(igd, "_add_pinhole", lambda values: number)
    assert (await refused(igd)).code == "router-failed"
