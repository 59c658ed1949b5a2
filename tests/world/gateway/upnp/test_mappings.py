"""UPnP: nothing that a device on the network says is believed unchecked."""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import socket
import subprocess
import sys

import pytest

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.upnp import mappings, problems, ssdp
from pairingd.world.gateway.upnp.igd import connect
from tests.fakes.igd import FakeIgd, Quirk
from tests.loopback import NO_NAMES, SECOND, needs_second_address
from tests.waiting import WAIT_S
from tests.world.gateway.conftest import (
    GATEWAY_MAC,
    HOME,
    NOW,
    RecordedJournal,
    free_port,
    requested,
    the_gateways,
    upnp_searching,
    upnp_to,
)

OURS = "pairingd01234567"


async def refused(igd: FakeIgd, port: int = 22, **settings: object) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await upnp_to(igd, **settings).open(requested(port), 600)
    return caught.value


# The whole way


async def test_open_returns_the_grant_of_the_router(igd: FakeIgd) -> None:
    granted = await upnp_to(igd).open(requested(), 600)
    assert (granted.external_host, granted.external_port) == ("5.5.5.1", 22)
    assert granted.granted_until == pytest.approx(NOW + 600, abs=2)
    assert granted.renew_at == pytest.approx(NOW + 300, abs=2)
    forward = igd.mappings[22]
    assert (forward.client, forward.internal_port) == ("127.0.0.1", 50111)
    assert forward.description == OURS
    assert forward.lease == 600


async def test_igd_version_2_works_the_same() -> None:
    async with FakeIgd(version=2) as igd:
        granted = await upnp_to(igd).open(requested(), 600)
        assert await upnp_to(igd).check(granted) is Presence.PRESENT


@pytest.mark.parametrize("wan", ["WANIPConnection:3", "WANPPPConnection:2", "WANPPPConnection:1"])
async def test_any_version_of_a_known_service_works_the_same(wan: str) -> None:
    async with FakeIgd(wan=wan) as later:
        granted = await upnp_to(later).open(requested(), 600)
        assert await upnp_to(later).check(granted) is Presence.PRESENT
        await upnp_to(later).close(granted)
        assert later.mappings == {}
        assert await upnp_to(later).check(granted) is Presence.ABSENT


async def test_close_leaves_nothing_and_is_idempotent(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    await adapter.close(granted)
    assert igd.mappings == {}
    await adapter.close(granted)
    assert igd.counts["DeletePortMapping"] == 1


async def test_a_new_process_closes_a_mapping_by_the_entry_from_before_the_grant(
    igd: FakeIgd,
) -> None:
    await upnp_to(igd).open(requested(), 600)
    await upnp_to(igd).close(requested())
    assert igd.mappings == {}


async def test_renewal_restarts_the_lease(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.age(22, 400)
    renewed = await adapter.renew(granted, 600)
    assert igd.mappings[22].remaining() > 590
    assert renewed.granted_until == pytest.approx(NOW + 600, abs=2)


async def test_renewal_restores_a_mapping_that_a_reboot_has_lost(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.reboot()
    assert await adapter.check(granted) is Presence.ABSENT
    await adapter.renew(granted, 600)
    assert await adapter.check(granted) is Presence.PRESENT


async def test_the_renewed_mapping_has_the_new_external_address(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.external_host = "5.5.5.9"
    assert (await adapter.renew(granted, 600)).external_host == "5.5.5.9"


async def test_a_mapping_forwards_and_closing_it_closes_the_port() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-door\r\n")
        writer.close()

    door = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with door, FakeIgd(listen="127.0.0.1") as igd:
        port = free_port()
        asked = requested(port, internal_port=door.sockets[0].getsockname()[1])
        granted = await upnp_to(igd).open(asked, 600)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"SSH-2.0-door\r\n"
        writer.close()
        await upnp_to(igd).close(granted)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


# Whose is the port


async def test_foreign_22_never_deleted(igd: FakeIgd) -> None:
    igd.add_by_hand(22, "192.168.7.9", 22)
    error = await refused(igd)
    assert error.code == "port-taken"
    assert "192.168.7.9" in error.message
    await upnp_to(igd).close(requested())
    assert igd.mappings[22].client == "192.168.7.9"
    assert igd.counts["AddPortMapping"] == igd.counts["DeletePortMapping"] == 0


async def test_own_manual_22_not_overwritten(igd: FakeIgd) -> None:
    igd.add_by_hand(22, HOME.address, 22, "my ssh")
    assert (await refused(igd)).code == "port-taken"
    await upnp_to(igd).close(requested())
    assert igd.mappings[22].description == "my ssh"


async def test_own_manual_forward_to_the_door_itself_not_overwritten(igd: FakeIgd) -> None:
    igd.add_by_hand(22, HOME.address, 50111, "my door")
    assert (await refused(igd)).code == "port-taken"
    assert igd.mappings[22].description == "my door"


async def test_a_mapping_of_another_machine_to_the_same_internal_port_is_not_ours(
    igd: FakeIgd,
) -> None:
    """Where both have the same [door] port: it comes between our look and our request."""
    journaled: list[Mapping] = []

    def record(mapping: Mapping) -> None:
        journaled.append(mapping)
        igd.add_by_hand(22, "192.168.7.9", 50111, "pairingd0badcafe")

    with pytest.raises(GatewayError) as caught:
        await upnp_to(igd).open(requested(), 600, record=record)
    assert caught.value.code == "port-taken"
    assert "192.168.7.9" in caught.value.message
    await upnp_to(igd).close(journaled[0])  # all that a crash has left
    assert igd.mappings[22].client == "192.168.7.9"
    assert igd.counts["DeletePortMapping"] == 0


@pytest.mark.parametrize("code", [401, 402, 501, 602, 606])
async def test_nothing_is_added_or_deleted_if_the_holder_of_a_port_is_unknown(
    igd: FakeIgd, code: int
) -> None:
    igd.add_by_hand(22, HOME.address, 22, "my ssh")
    igd.failing |= {"GetSpecificPortMappingEntry": code, "GetGenericPortMappingEntry": code}
    error = await refused(igd)
    assert (error.code, error.data["upnp"]) == ("router-failed", code)
    with pytest.raises(GatewayError):
        await upnp_to(igd).close(requested())
    assert igd.counts["AddPortMapping"] == igd.counts["DeletePortMapping"] == 0


async def test_a_mapping_on_a_port_that_was_free_is_closed_although_it_cannot_be_read(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    igd.quirks.add(Quirk.PORTS_AS_RANGES)
    with pytest.raises(GatewayError) as caught:
        await upnp_to(igd).open(requested(50022), 600, record=journal.record)
    assert caught.value.code == "router-failed"
    assert 50022 in igd.mappings
    (journaled,) = journal.values()
    with pytest.raises(GatewayError):  # after its lease it may be another's
        await upnp_to(igd).close(replace(journaled, granted_until=NOW - 1))
    igd.failing["DeletePortMapping"] = 501
    with pytest.raises(GatewayError):
        await upnp_to(igd).close(journaled)
    del igd.failing["DeletePortMapping"]
    await upnp_to(igd).close(journaled)
    assert igd.mappings == {}


@pytest.mark.parametrize("quirks", [set(), {Quirk.TABLE_LOWER}])
async def test_a_router_that_shows_its_table_alone_is_read_by_it(
    igd: FakeIgd, quirks: set[Quirk]
) -> None:
    igd.quirks |= quirks
    igd.add_by_hand(22, HOME.address, 22, "my ssh")
    igd.failing["GetSpecificPortMappingEntry"] = 602
    assert (await refused(igd)).code == "port-taken"
    granted = await upnp_to(igd).open(requested(50022), 600)
    assert await upnp_to(igd).check(granted) is Presence.PRESENT
    await upnp_to(igd).close(granted)
    assert list(igd.mappings) == [22]


async def test_a_port_is_free_if_the_table_is_empty(igd: FakeIgd) -> None:
    igd.failing["GetSpecificPortMappingEntry"] = 602
    await upnp_to(igd).close(await upnp_to(igd).open(requested(), 600))
    assert igd.mappings == {}


@pytest.mark.parametrize("unread", ["cut", "not-utf8", "too-long"])
async def test_a_port_is_not_taken_for_free_if_the_table_was_not_read_whole(
    igd: FakeIgd, unread: str
) -> None:
    igd.failing["GetSpecificPortMappingEntry"] = 602
    for port in range(10000, 10200 if unread == "too-long" else 10001):
        igd.add_by_hand(port, "192.168.7.9", 80)
    igd.add_by_hand(22, HOME.address, 22, "\udcff\udcfe" if unread == "not-utf8" else "my ssh")
    if unread == "cut":
        igd.quirks.add(Quirk.TABLE_CUT)
    # Our own reader can read all of it but what is cut off.
    assert (await refused(igd)).code in ("router-failed", "port-taken")
    assert igd.mappings[22].internal_port == 22
    assert igd.counts["AddPortMapping"] == igd.counts["DeletePortMapping"] == 0


async def test_a_failed_query_does_not_make_a_mapping_absent(
    igd: FakeIgd,
) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.failing |= {"GetSpecificPortMappingEntry": 501, "GetGenericPortMappingEntry": 501}
    assert await adapter.check(granted) is Presence.UNKNOWN
    with pytest.raises(GatewayError):
        await adapter.close(granted)
    assert 22 in igd.mappings


async def test_another_daemons_mapping_is_not_ours(igd: FakeIgd) -> None:
    with socket.create_server((HOME.address, 0)) as door:
        port = door.getsockname()[1]
        igd.add_by_hand(22, HOME.address, port, "pairingdffffffff")
        assert (await refused(igd)).code == "port-taken"
    assert igd.mappings[22].internal_port == port


async def test_our_left_over_mapping_is_taken_over(igd: FakeIgd) -> None:
    await upnp_to(igd).open(requested(internal_port=50222), 600)
    await upnp_to(igd).open(requested(), 600)
    assert igd.mappings[22].internal_port == 50111


async def test_check_distinguishes_present_absent_and_foreign(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    assert await adapter.check(granted) is Presence.PRESENT
    igd.reboot()
    assert await adapter.check(granted) is Presence.ABSENT
    igd.add_by_hand(22, "192.168.7.9", 22)
    assert await adapter.check(granted) is Presence.FOREIGN


async def test_a_router_that_alters_descriptions_still_shows_our_mapping(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.DESCRIPTION_ALTERED)
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    assert await adapter.check(granted) is Presence.PRESENT
    await adapter.close(granted)
    assert igd.mappings == {}


async def test_a_renewed_mapping_with_its_old_description_is_present(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.RENEWAL_KEEPS_DESCRIPTION)
    adapter = upnp_to(igd)
    granted = await adapter.renew(await adapter.open(requested(), 600), 600)
    assert await adapter.check(granted) is Presence.PRESENT


async def test_a_description_that_is_not_utf8_is_foreign(igd: FakeIgd) -> None:
    igd.add_by_hand(22, HOME.address, 22, "\udcff\udcfe")
    assert (await refused(igd)).code == "port-taken"


# Refusals


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (606, "not-permitted"),
        (718, "not-permitted"),
        (728, "router-failed"),
        (729, "port-taken"),
        (600, "router-failed"),
        (999, "router-failed"),
        (724, "same-port-only"),
    ],
)
async def test_upnp_error_becomes(igd: FakeIgd, code: int, expected: str) -> None:
    igd.failing["AddPortMapping"] = code
    assert (await refused(igd)).code == expected


async def test_718_hint_names_the_routers_setting(igd: FakeIgd) -> None:
    igd.failing["AddPortMapping"] = 718
    assert "independent port sharing" in (await refused(igd)).hint


async def test_low_ports_refused_high_port_granted(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.LOW_PORTS_REFUSED)
    assert (await refused(igd)).code == "not-permitted"
    assert (await upnp_to(igd).open(requested(50022), 600)).external_port == 50022


async def test_501_is_retried_once(igd: FakeIgd) -> None:
    igd.failing_once["AddPortMapping"] = [501]
    assert (await upnp_to(igd).open(requested(), 600)).external_port == 22


async def test_501_without_an_external_address_is_final(igd: FakeIgd) -> None:
    igd.external_host = ""
    igd.failing["AddPortMapping"] = 501
    assert (await refused(igd)).code == "double-nat"
    assert igd.counts["AddPortMapping"] == 1


@pytest.mark.parametrize("quirk", [Quirk.ONLY_PERMANENT, Quirk.LEASE_INVALID])
async def test_permanent_requires_optin(igd: FakeIgd, quirk: Quirk) -> None:
    igd.quirks.add(quirk)
    error = await refused(igd)
    assert error.code == "permanent-only"
    assert "allow_permanent" in error.hint
    assert igd.mappings == {}


@pytest.mark.parametrize("quirk", [Quirk.ONLY_PERMANENT, Quirk.LEASE_INVALID, Quirk.LEASE_DROPPED])
async def test_permanent_when_allowed_is_renewed_and_closed(igd: FakeIgd, quirk: Quirk) -> None:
    igd.quirks.add(quirk)
    adapter = upnp_to(igd, allow_permanent=True)
    granted = await adapter.open(requested(), 600)
    assert igd.mappings[22].lease == 0
    renewed = await upnp_to(igd).renew(granted, 600)
    assert igd.mappings[22].lease == 0
    assert renewed.renew_at == NOW + 300
    await adapter.close(renewed)
    assert igd.mappings == {}


async def test_a_router_that_requires_a_lease_of_an_hour_gets_one(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.LEASE_AN_HOUR)
    granted = await upnp_to(igd).open(requested(), 600)
    assert granted.renew_at == pytest.approx(NOW + 1800, abs=2)


# Routers that lie


@pytest.mark.attack(
    "a router leads the port to the host's own sshd", "the mapping is deleted, and the host is told"
)
async def test_a_mapping_to_another_internal_port_than_requested_is_deleted(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.INTERNAL_PORT_IGNORED)
    assert (await refused(igd)).code == "router-lied"
    assert igd.mappings == {}


async def test_a_mapping_to_another_client_than_requested_is_deleted(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.CLIENT_CHANGED)
    assert (await refused(igd)).code == "router-lied"
    assert igd.mappings == {}


async def test_a_wrong_mapping_that_cannot_be_deleted_is_reported_with_the_remedy(
    igd: FakeIgd,
) -> None:
    igd.quirks |= {Quirk.INTERNAL_PORT_IGNORED, Quirk.DELETE_IGNORED}
    error = await refused(igd)
    assert error.code == "router-lied"
    assert "sshd" in error.message
    assert error.hint.startswith("delete the forward of port 22")


async def test_a_mapping_whose_internal_port_has_changed_is_absent(igd: FakeIgd) -> None:
    granted = await upnp_to(igd).open(requested(), 600)
    igd.mappings[22].internal_port = 22
    assert await upnp_to(igd).check(granted) is Presence.ABSENT


async def test_a_mapping_is_absent_after_the_external_address_has_changed(igd: FakeIgd) -> None:
    granted = await upnp_to(igd).open(requested(), 600)
    igd.external_host = "0.0.0.0"  # the line is down for a moment
    assert await upnp_to(igd).check(granted) is Presence.PRESENT
    igd.external_host = "5.5.5.9"
    assert await upnp_to(igd).check(granted) is Presence.ABSENT


async def test_a_lease_that_is_dropped_at_once_is_an_error(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.LEASE_DROPPED)
    error = await refused(igd)
    assert error.code == "router-lied"
    assert "allow_permanent" in error.hint


async def test_a_mapping_that_the_router_makes_late_is_used(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.MADE_LATE)
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(50022), 600)
    assert not granted.unshown
    assert await adapter.check(granted) is Presence.PRESENT
    await adapter.close(granted)
    assert igd.mappings == {}


async def test_what_an_earlier_request_for_the_door_left_is_taken_over(igd: FakeIgd) -> None:
    with socket.create_server((HOME.address, 0)) as door:
        port = door.getsockname()[1]
        igd.add_by_hand(22, HOME.address, port, "pairingd0badcafe")
        granted = await upnp_to(igd).open(requested(internal_port=port), 600)
    assert igd.mappings[22].description == OURS
    await upnp_to(igd).close(granted)
    assert igd.mappings == {}


async def test_a_mapping_of_another_port_than_requested_is_deleted(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.OTHER_PORT)
    igd.add_by_hand(10023, HOME.address, 50111)
    assert (await refused(igd)).code == "port-taken"
    assert set(igd.mappings) == {10023}


@pytest.mark.parametrize("quirk", [Quirk.UNSHOWN, Quirk.DISABLED])
async def test_a_mapping_that_the_router_does_not_list_is_kept_renewed_and_closed(
    igd: FakeIgd, quirk: Quirk
) -> None:
    igd.quirks.add(quirk)
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(50022), 600)
    assert granted.unshown
    assert igd.mappings[50022].lease == 600
    assert await adapter.check(granted) is Presence.PRESENT
    renewed = await adapter.renew(granted, 600)
    # By which it was found out.
    assert igd.counts["DeletePortMapping"] == (quirk is Quirk.UNSHOWN)
    await adapter.close(renewed)
    assert igd.mappings == {}


@pytest.mark.parametrize("quirk", [Quirk.FREE_AS_EMPTY, Quirk.FREE_AS_ZEROS])
async def test_a_free_port_may_be_shown_as_an_empty_row(igd: FakeIgd, quirk: Quirk) -> None:
    igd.quirks.add(quirk)
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    assert await adapter.check(granted) is Presence.PRESENT
    igd.reboot()
    assert await adapter.check(granted) is Presence.ABSENT
    await adapter.close(await adapter.renew(granted, 600))
    assert igd.mappings == {}


async def test_an_unlisted_mapping_is_absent_after_the_router_s_restart(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.UNSHOWN)
    igd.started -= 1000
    granted = await upnp_to(igd).open(requested(50022), 600)
    igd.reboot()
    assert await upnp_to(igd).check(granted) is Presence.ABSENT
    await upnp_to(igd).renew(granted, 600)
    assert igd.mappings[50022].internal_port == granted.internal_port


@pytest.mark.parametrize("quirk", [Quirk.UPTIME_ZERO, Quirk.STATUS_SILENT])
async def test_an_unlisted_mapping_is_present_if_the_router_reports_no_uptime(
    igd: FakeIgd, quirk: Quirk
) -> None:
    igd.quirks |= {Quirk.UNSHOWN, quirk}
    granted = await upnp_to(igd).open(requested(50022), 600)
    assert dict(granted.handle)["up_since"] == "0"
    assert await upnp_to(igd).check(granted) is Presence.PRESENT
    await upnp_to(igd).close(granted)
    assert igd.mappings == {}


async def test_an_unlisted_mapping_whose_lease_is_over_is_not_deleted(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.UNSHOWN)
    granted = await upnp_to(igd).open(requested(50022), 600)
    igd.reboot()
    igd.add_by_hand(50022, "192.168.7.9", 80)
    await upnp_to(igd).close(replace(granted, granted_until=NOW - 1))
    assert 50022 in igd.mappings


async def test_a_router_that_drops_leases_may_still_keep_a_permanent_mapping(
    igd: FakeIgd,
) -> None:
    igd.quirks |= {Quirk.LEASE_DROPPED, Quirk.DELETE_SAYS_YES}
    assert (await upnp_to(igd).open(requested(50022), 600)).unshown
    granted = await upnp_to(igd, allow_permanent=True).open(requested(50022), 600)
    assert not granted.unshown
    assert igd.mappings[50022].lease == 0


async def test_a_mapping_that_the_router_has_disabled_is_absent_and_renewed(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.quirks.add(Quirk.DISABLED)
    assert await adapter.check(granted) is Presence.ABSENT
    disabled = await adapter.renew(granted, 600)
    assert disabled.unshown
    igd.quirks.remove(Quirk.DISABLED)
    assert not (await adapter.renew(disabled, 600)).unshown
    igd.quirks.add(Quirk.DISABLED)
    igd.add_by_hand(23, "192.168.7.9", 23)
    assert (await refused(igd, 23)).code == "port-taken"


async def test_an_ignored_renewal_is_made_by_deleting_and_adding(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.quirks.add(Quirk.RENEWAL_IGNORED)
    igd.age(22, 400)
    await adapter.renew(granted, 600)
    assert igd.mappings[22].remaining() > 590


async def test_renewal_too_early_does_not_interrupt_the_mapping(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    await adapter.renew(await adapter.open(requested(), 600), 600)
    assert igd.counts["DeletePortMapping"] == 0


@pytest.mark.parametrize("quirk", [Quirk.LEASE_UNTOLD, Quirk.LEASE_NO_NUMBER])
async def test_an_unreported_lease_is_taken_for_the_requested_one(
    igd: FakeIgd, quirk: Quirk
) -> None:
    igd.quirks.add(quirk)
    granted = await upnp_to(igd).open(requested(), 600)
    assert granted.renew_at == NOW + 300


@pytest.mark.parametrize(
    ("code", "expected"), [(606, "not-permitted"), (501, "router-failed"), (718, "router-failed")]
)
async def test_a_refused_deletion_is_reported_as_one(
    igd: FakeIgd, code: int, expected: str
) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.failing["DeletePortMapping"] = code
    with pytest.raises(GatewayError) as caught:
        await adapter.close(granted)
    assert (caught.value.code, caught.value.data["upnp"]) == (expected, code)
    assert "does not delete the mapping of port 22" in caught.value.message
    assert "delete it" in caught.value.hint


async def test_an_ignored_deletion_is_an_error(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.quirks.add(Quirk.DELETE_IGNORED)
    with pytest.raises(GatewayError) as caught:
        await adapter.close(granted)
    assert caught.value.code == "router-lied"


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.2", "", "<b>", "fe80::1", "999.1.1.1"])
async def test_bogus_external_address_is_unknown(igd: FakeIgd, address: str) -> None:
    igd.external_host = address
    granted = await upnp_to(igd).open(requested(), 600)
    assert granted.external_host == ("127.0.0.2" if address == "127.0.0.2" else "")


async def test_a_loopback_external_address_is_accepted_only_from_a_router_on_loopback() -> None:
    assert (
        mappings._external_host("127.0.0.1", "http://127.0.0.1:5000/x", requested()) == "127.0.0.1"
    )
    assert mappings._external_host("127.0.0.1", "http://192.168.1.1:5000/x", requested()) == ""


async def test_private_external_address_is_kept_for_the_caller_to_judge(igd: FakeIgd) -> None:
    igd.external_host = "100.64.7.7"
    assert (await upnp_to(igd).open(requested(), 600)).external_host == "100.64.7.7"


# What was made is known by looking


@pytest.mark.parametrize(
    "quirks",
    [
        {Quirk.FAULTS_AND_MAPS},
        {Quirk.CLIENT_HIDDEN},
        {Quirk.CLIENT_NAMED},
        {Quirk.FAULTS_AND_MAPS, Quirk.CLIENT_HIDDEN},
        {Quirk.FAULTS_AND_MAPS, Quirk.DESCRIPTION_ALTERED},
    ],
    ids=lambda quirks: "+".join(sorted(quirks)),
)
async def test_a_mapping_to_our_port_where_none_was_before_is_ours(
    igd: FakeIgd, quirks: set[Quirk]
) -> None:
    igd.quirks |= quirks
    adapter = upnp_to(igd)
    journaled: list[Mapping] = []
    granted = await adapter.open(requested(), 600, record=journaled.append)
    assert igd.mappings[22].internal_port == 50111
    assert await adapter.check(granted) is Presence.PRESENT
    igd.quirks -= {Quirk.FAULTS_AND_MAPS}
    renewed = await adapter.renew(granted, 600)
    await adapter.close(renewed)
    assert igd.mappings == {}
    await adapter.open(requested(), 600)
    await upnp_to(igd).close(journaled[0])  # all that a crash has left
    assert igd.mappings == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    ],
)
async def test_the_result_of_an_add_is_read_back_whatever_the_router_answered(
    igd: FakeIgd, answer: bytes
) -> None:
    igd.answers = {"AddPortMapping": answer}
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(), 600)
    igd.answers = {"DeletePortMapping": answer}
    await adapter.close(granted)
    assert igd.mappings == {}


async def test_the_result_of_an_unanswered_add_is_read_back_too(igd: FakeIgd) -> None:
    igd.hang_up = {"AddPortMapping"}
    adapter = upnp_to(igd)
    await adapter.close(await adapter.open(requested(), 600))
    assert igd.mappings == {}


async def test_a_wrong_mapping_with_a_hidden_client_is_deleted_too(igd: FakeIgd) -> None:
    igd.quirks |= {Quirk.INTERNAL_PORT_IGNORED, Quirk.CLIENT_HIDDEN}
    error = await refused(igd)
    assert (error.code, error.lied) == ("router-lied", True)
    assert igd.mappings == {}


async def test_a_wrong_mapping_that_stayed_is_recognised_later_and_closed(igd: FakeIgd) -> None:
    igd.quirks |= {Quirk.INTERNAL_PORT_IGNORED, Quirk.CLIENT_HIDDEN, Quirk.DELETE_IGNORED}
    journaled: list[Mapping] = []
    with pytest.raises(GatewayError):
        await upnp_to(igd).open(requested(), 600, record=journaled.append)
    igd.quirks -= {Quirk.DELETE_IGNORED}
    await upnp_to(igd).close(journaled[-1])
    assert igd.mappings == {}


async def test_a_router_that_is_slow_with_each_answer_is_used(igd: FakeIgd) -> None:
    igd.delay = 0.3
    adapter = upnp_to(igd)
    await adapter.probe(HOME)
    igd.counts.clear()
    granted = await adapter.open(requested(), 600)
    assert igd.counts["POST /control"] == 3  # a look, the add, a look
    assert igd.counts["GET /rootDesc.xml"] == 0
    await adapter.close(granted)
    assert igd.counts["GetExternalIPAddress"] == 0


@pytest.mark.parametrize("code", [899, 999, -1, -2, -911, 12345, 0xFFFFFC71, -0x80000000])
async def test_a_router_s_own_code_keeps_its_number(igd: FakeIgd, code: int) -> None:
    igd.failing["AddPortMapping"] = code
    error = await refused(igd)
    assert (error.code, error.data["upnp"]) == ("router-failed", code)
    assert f"UPnP error {code})" in error.message
    igd.failing.clear()
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(2022), 600)
    igd.failing["DeletePortMapping"] = code
    with pytest.raises(GatewayError, match=f"UPnP error {code}\\)") as caught:
        await adapter.close(granted)
    assert caught.value.data["upnp"] == code


@pytest.mark.parametrize("allow_permanent", [True, False])
@pytest.mark.parametrize("code", [402, 718])
async def test_402_and_718_to_everything_may_be_cgnat(
    igd: FakeIgd, code: int, *, allow_permanent: bool
) -> None:
    igd.failing["AddPortMapping"] = code
    assert "CGNAT" in (await refused(igd, allow_permanent=allow_permanent)).hint


# What is no gateway, or hostile


@pytest.mark.parametrize(
    "quirk",
    [
        Quirk.DEAD_SERVICE_FIRST,
        Quirk.DOWN_SERVICE_FIRST,
        Quirk.STALE_SERVICE_FIRST,
        Quirk.PRIVATE_SERVICE_FIRST,
    ],
)
async def test_the_wan_service_that_leads_to_the_internet_is_used(
    igd: FakeIgd, quirk: Quirk
) -> None:
    igd.quirks.add(quirk)
    igd.add_by_hand(22, HOME.address, 22, "my & ssh")
    assert (await refused(igd)).code == "port-taken"
    adapter = upnp_to(igd)
    granted = await adapter.open(requested(50022), 600)
    assert (granted.external_host, igd.mappings[50022].lease) == ("5.5.5.1", 600)
    assert await adapter.check(granted) is Presence.PRESENT
    await adapter.renew(granted, 600)
    igd.failing["AddPortMapping"] = 606
    assert (await refused(igd, 50023)).code == "not-permitted"
    await adapter.close(granted)
    assert list(igd.mappings) == [22]
    igd.add_by_hand(2201, HOME.address, free_port(), "pairingd0badcafe")
    await adapter.sweep(HOME, [])
    assert list(igd.mappings) == [22]


async def test_another_wan_service_is_asked_at_the_router_alone(igd: FakeIgd) -> None:
    igd.quirks |= {Quirk.DEAD_SERVICE_FIRST, Quirk.USERINFO_CONTROL}
    assert (await refused(igd)).code == "router-lied"
    assert igd.counts["POST /control"] == 0


async def test_no_wan_service_is_no_gateway(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.NO_WAN_SERVICE)
    with pytest.raises(GatewayError, match="is no UPnP internet gateway") as caught:
        await upnp_to(igd).probe(HOME)
    assert caught.value.code == "no-gateway"


async def test_disconnected_is_still_a_gateway(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.DISCONNECTED)
    assert await upnp_to(igd).probe(HOME) is True


@pytest.mark.attack("a description names a control URL on another host", "never asked")
@pytest.mark.parametrize("quirk", [Quirk.OFF_HOST_CONTROL, Quirk.USERINFO_CONTROL])
async def test_controlurl_offhost_rejected(igd: FakeIgd, quirk: Quirk) -> None:
    igd.quirks.add(quirk)
    assert (await refused(igd)).code == "router-lied"
    assert igd.counts["POST /control"] == 0


@pytest.mark.attack(
    "a router drips its answer, or never ends it", "given up in seconds, with an error"
)
@pytest.mark.parametrize("quirk", [Quirk.HTTP_DRIP, Quirk.HTTP_ENDLESS, Quirk.SOAP_SILENT])
async def test_a_hostile_server_is_an_error(igd: FakeIgd, quirk: Quirk) -> None:
    igd.quirks.add(quirk)
    with pytest.raises(GatewayError) as caught:
        await upnp_to(igd).open(requested(), 600)
    assert caught.value.code in ("router-silent", "router-failed", "no-gateway")


@pytest.mark.attack("a router's XML holds entities that multiply", "not expanded")
async def test_xml_bomb_is_not_expanded(igd: FakeIgd) -> None:
    igd.quirks.add(Quirk.XML_BOMB)
    with pytest.raises(GatewayError, match="is no UPnP internet gateway"):
        await upnp_to(igd).probe(HOME)


async def test_without_a_router_at_the_configured_url_probe_and_close_are_errors(
    igd: FakeIgd,
) -> None:
    adapter = upnp_to(igd, description_url=f"http://127.0.0.1:{free_port()}/rootDesc.xml")
    with pytest.raises(GatewayError, match=r"ECONNREFUSED") as caught:
        await adapter.probe(HOME)
    assert "description_url" in caught.value.hint
    assert await adapter.check(requested()) is Presence.UNKNOWN
    with pytest.raises(GatewayError, match="ECONNREFUSED"):
        await adapter.close(requested())


async def test_a_machine_without_a_free_descriptor_reports_too_many_open_files(
    igd: FakeIgd,
) -> None:
    adapter = upnp_to(igd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(GatewayError, match="Too many open files"):
            await adapter.open(requested(), 600)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await adapter.open(requested(), 600)).external_port == 22


# The search


async def test_the_router_is_found_by_ssdp_and_remembered() -> None:
    async with FakeIgd(ssdp=True) as igd:
        adapter = upnp_searching(igd)
        assert await adapter.probe(HOME) is True
        searched = igd.counts["M-SEARCH"]
        granted = await adapter.open(requested(), 600)
        assert granted.external_host == "5.5.5.1"
        assert igd.counts["M-SEARCH"] == searched


async def test_a_router_that_moved_its_description_is_found_again() -> None:
    async with FakeIgd(ssdp=True) as igd:
        adapter = upnp_searching(igd)
        granted = await adapter.open(requested(), 600)
        gone = f"http://127.0.0.1:{free_port()}/rootDesc.xml"
        moved = replace(granted, handle=(("url", gone), *granted.handle[1:]))
        await upnp_searching(igd).close(moved)
        assert igd.mappings == {}


@pytest.mark.attack(
    "a device on the LAN answers the search for the router", "used only if it is the router itself"
)
@needs_second_address
@pytest.mark.parametrize("mac", [GATEWAY_MAC, "02:00:00:00:00:66", ""])
async def test_another_address_is_used_only_if_it_has_the_gateway_s_mac(mac: str) -> None:
    async def mac_of(_address: str, _interface: str) -> str:
        return mac

    home = Network("lo", "127.0.0.1", "127.0.0.3", GATEWAY_MAC)
    async with FakeIgd(ssdp=True, address="127.0.0.3") as gateway, FakeIgd() as other:
        gateway.location = other.description_url
        adapter = upnp_searching(gateway, mac_of=mac_of)
        assert await adapter.probe(home) is (mac == GATEWAY_MAC)
        assert (other.counts["GET /rootDesc.xml"] > 0) is (mac == GATEWAY_MAC)


async def test_a_dead_description_before_the_true_one_does_not_end_the_search() -> None:
    async with FakeIgd(ssdp=True, quirks={Quirk.TWO_DESCRIPTIONS}) as igd:
        igd.location = f"http://127.0.0.1:{free_port()}/rootDesc.xml"
        igd.second_location = igd.description_url
        assert await upnp_searching(igd).probe(HOME) is True


@pytest.mark.attack("a device floods the search with answers", "few are kept")
async def test_ssdp_flood_capped() -> None:
    async with FakeIgd(ssdp=True, quirks={Quirk.SSDP_FLOOD}) as igd:
        locations, _ = await ssdp.search("127.0.0.1", "127.0.0.1", igd.ssdp_port)
        assert locations[0] == igd.description_url
        assert len(locations) == 10
        assert await upnp_searching(igd).probe(HOME) is True


async def test_two_descriptions_of_one_router_get_one_mapping() -> None:
    async with FakeIgd(ssdp=True, quirks={Quirk.TWO_DESCRIPTIONS}) as igd:
        await upnp_searching(igd).open(requested(), 600)
        assert igd.counts["AddPortMapping"] == 1


async def test_a_gateway_that_names_the_wrong_address_is_asked_at_its_own() -> None:
    async with FakeIgd(ssdp=True) as igd:
        igd.location = f"http://10.99.0.1:{igd.port}/rootDesc.xml"
        mapping = await upnp_searching(igd).open(requested(), 600)
        assert mapping.external_port == 22
        assert dict(mapping.handle)["url"] == igd.description_url


@pytest.mark.attack(
    "a device on the LAN poses as the router and names a URL elsewhere", "never asked"
)
async def test_a_location_elsewhere_is_never_asked() -> None:
    brief = ssdp.Schedule((0.0,), 0.5)
    elsewhere = Network("lo", "127.0.0.1", "127.0.0.9")
    async with FakeIgd(ssdp=True) as igd:
        for host in (f"localhost:{igd.port}", "10.99.0.1"):
            igd.location = f"http://{host}/rootDesc.xml"
            assert await upnp_searching(igd, schedule=brief).probe(elsewhere) is False
        assert igd.counts["GET /rootDesc.xml"] == 0


async def test_ehostunreach_on_macos_is_a_missing_permission() -> None:
    unreachable = OSError(errno.EHOSTUNREACH, "No route to host")
    error = problems.unreachable("http://x/", unreachable, "darwin")
    assert error.code == "local-network-denied"
    assert "Local Network" in error.hint
    assert problems.unreachable("http://x/", unreachable, "linux").code == "no-gateway"


async def test_a_configured_url_may_have_the_routers_name(igd: FakeIgd) -> None:
    named = igd.description_url.replace("127.0.0.1", "localhost")  # its control URL has the address
    adapter = upnp_to(igd, description_url=named)
    await adapter.close(await adapter.renew(await adapter.open(requested(), 600), 600))
    assert (igd.requested, igd.mappings) == ([22, 22], {})
    igd.quirks.add(Quirk.OFF_HOST_CONTROL)  # the name, which is not looked up there
    assert (await refused(igd)).code == "router-lied"


@pytest.mark.parametrize("name", NO_NAMES)
async def test_a_description_at_an_unknown_name_is_reported_as_that(name: str) -> None:
    with pytest.raises(GatewayError, match="the name could not be resolved"):
        await connect(f"http://{name}:5000/x", "127.0.0.1")


async def chosen(adapter: mappings.UpnpAdapter, *urls: str) -> str:
    await adapter.learn(HOME, urls)
    return (await adapter._finder.find(HOME)).url


@pytest.mark.parametrize(
    ("worse", "quirks"),
    [("5.5.5.1", {Quirk.DISCONNECTED}), ("192.168.9.9", set()), ("", {Quirk.NO_WAN_SERVICE})],
    ids=["first_device_disconnected", "prefer_public_external_ip", "no_wan_service"],
)
async def test_the_better_of_two_gateways_is_chosen(worse: str, quirks: set[Quirk]) -> None:
    async with FakeIgd(external_host=worse, quirks=quirks) as other, FakeIgd() as best:
        adapter = upnp_searching(best)
        for urls in (
            [other.description_url, best.description_url],
            [best.description_url, other.description_url],
        ):
            assert await chosen(adapter, *urls) == best.description_url


@needs_second_address
async def test_the_default_gateway_comes_before_a_better_one_beside_it() -> None:
    async with FakeIgd(quirks={Quirk.DISCONNECTED}) as own, FakeIgd(address=SECOND) as other:
        adapter = upnp_searching(own, mac_of=the_gateways)
        home = replace(HOME, gateway_mac=GATEWAY_MAC)
        await adapter.learn(home, [other.description_url, own.description_url])
        await adapter.open(requested(network=home.identity), 600)
        assert (list(own.mappings), list(other.mappings)) == ([22], [])


async def test_a_silent_gateway_does_not_keep_another_from_being_chosen() -> None:
    async with FakeIgd(quirks={Quirk.HTTP_DRIP}) as other, FakeIgd() as best:
        urls = [other.description_url, best.description_url]
        assert await chosen(upnp_searching(best), *urls) == best.description_url


async def test_a_search_that_macos_denies_is_a_missing_permission(
    igd: FakeIgd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied(*_: object, **__: object) -> tuple[list[str], OSError]:
        return [], OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(ssdp, "search", denied)
    with pytest.raises(GatewayError) as caught:
        await upnp_searching(igd, platform="darwin").probe(HOME)
    assert caught.value.code == "local-network-denied"
    assert await upnp_searching(igd, platform="linux").probe(HOME) is False


# Told instead of searching


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search is, as on macOS; what goes by TCP is not."""

    async def search(*_: object, **__: object) -> tuple[list[str], OSError]:
        return [], OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(ssdp, "search", search)


@pytest.mark.usefixtures("denied")
async def test_a_process_that_may_not_search_can_be_given_the_router_s_url(igd: FakeIgd) -> None:
    adapter = upnp_searching(igd, platform="darwin")
    with pytest.raises(GatewayError) as caught:
        await adapter.open(requested(), 600)
    assert caught.value.code == "local-network-denied"
    await adapter.learn(HOME, [igd.description_url])
    assert await adapter.probe(HOME)
    granted = await adapter.open(requested(), 600)
    assert granted.external_host == "5.5.5.1"
    assert dict(granted.handle)["url"] == igd.description_url
    with pytest.raises(GatewayError) as caught:
        await adapter.probe(Network("lo", "127.0.0.1", "127.0.0.1", "02:00:00:00:00:02"))
    assert caught.value.code == "local-network-denied"


@pytest.mark.usefixtures("denied")
async def test_a_journaled_mapping_gives_the_next_process_the_router_s_url(igd: FakeIgd) -> None:
    adapter = upnp_searching(igd, platform="darwin")
    await adapter.learn(HOME, [igd.description_url])
    granted = await adapter.open(requested(), 600)
    later = upnp_searching(igd, platform="darwin")
    assert await later.check(granted) is Presence.PRESENT
    await later.close(await later.renew(granted, 600))
    assert igd.mappings == {}


@pytest.mark.usefixtures("denied")
@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://10.99.0.1:{port}/rootDesc.xml",
        "http://localhost:{port}/rootDesc.xml",
        "http://127.0.0.1.example.org:{port}/rootDesc.xml",
        "http://[::1]:{port}/rootDesc.xml",
        "https://127.0.0.1:{port}/rootDesc.xml",
        "file:///etc/passwd",
        "http://user@127.0.0.1:{port}/rootDesc.xml",
        "http://127.0.0.1:99999/rootDesc.xml",
        "http://127.0.0.1:{port}/\x1b[2J",
        "http://127.0.0.1:{port}/a b",
        "//127.0.0.1:{port}/rootDesc.xml",
        "rootDesc.xml",
    ],
)
async def test_a_url_that_a_search_would_not_keep_is_refused_and_never_asked(
    igd: FakeIgd, location: str
) -> None:
    adapter = upnp_searching(igd, platform="darwin")
    with pytest.raises(GatewayError) as caught:
        await adapter.learn(HOME, [igd.description_url, location.format(port=igd.port)])
    assert caught.value.code == "bad-description-url"
    assert caught.value.message.isprintable()
    assert not igd.counts
    with pytest.raises(GatewayError) as caught:
        await adapter.probe(HOME)
    assert caught.value.code == "local-network-denied"


@pytest.mark.usefixtures("denied")
async def test_a_url_that_is_no_gateway_does_not_replace_the_known_one(igd: FakeIgd) -> None:
    adapter = upnp_searching(igd, platform="darwin")
    await adapter.learn(HOME, [igd.description_url])
    async with FakeIgd(quirks={Quirk.NO_WAN_SERVICE}) as other:
        with pytest.raises(GatewayError) as caught:
            await adapter.learn(HOME, [other.description_url])
        assert caught.value.code == "no-gateway"
    assert await adapter.probe(HOME)


async def test_a_device_of_many_silent_services_does_not_hold_up_who_gives_its_url() -> None:
    """Each may take 5 s to answer, and pairingd asks up to 64 of them."""
    service = (
        "<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>"
        "<controlURL>/ctl</controlURL></service>"
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET"):
            writer.write(f"HTTP/1.1 200 OK\r\n\r\n<root>{64 * service}</root>".encode())
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rootDesc.xml"
        adapter = mappings.UpnpAdapter(config.Router(), lambda: NOW, job_timeout_s=0.5)
        with pytest.raises(GatewayError) as caught:
            async with asyncio.timeout(WAIT_S):
                await adapter.learn(HOME, [url])
    assert caught.value.code == "router-silent"


async def test_the_better_of_several_given_urls_is_chosen(igd: FakeIgd) -> None:
    async with FakeIgd(quirks={Quirk.DISCONNECTED}) as other:
        adapter = upnp_searching(igd)
        await adapter.learn(HOME, [other.description_url, igd.description_url])
        assert dict((await adapter.open(requested(), 600)).handle)["url"] == igd.description_url


# What stays behind


def test_the_router_loads_little() -> None:
    code = "import sys, pairingd.world.gateway.router; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True
    )
    assert not {"h11", "psutil", "httpx"} & set(json.loads(run.stdout))


async def test_a_mapping_that_a_forgotten_daemon_left_on_the_port_is_taken_over(
    igd: FakeIgd,
) -> None:
    igd.add_by_hand(22, HOME.address, free_port(), "pairingd0badcafe")
    mapping = await upnp_to(igd).open(requested(), 600)
    assert mapping.external_port == 22
    assert igd.mappings[22].internal_port == 50111


async def test_sweep_removes_only_mappings_of_ours_to_a_closed_port(igd: FakeIgd) -> None:
    with socket.create_server((HOME.address, 0)) as living:
        igd.add_by_hand(2201, HOME.address, free_port(), "pairingd0badcafe")
        igd.add_by_hand(2202, HOME.address, living.getsockname()[1], "pairingd0badcafe")
        igd.add_by_hand(2203, "192.168.7.9", free_port(), "pairingd0badcafe")
        igd.add_by_hand(2204, HOME.address, free_port(), "pairingd")
        igd.add_by_hand(2205, HOME.address, free_port(), "web server")
        igd.add_by_hand(2206, HOME.address, free_port(), "pairingd01234567")
        igd.add_by_hand(2207, HOME.address, free_port(), "pairingd01234567")
        assert await upnp_to(igd).sweep(HOME, [2207]) == 2
        assert list(igd.mappings) == [2202, 2203, 2204, 2205, 2207]


async def test_a_table_without_end_is_read_only_so_far(igd: FakeIgd) -> None:
    for port in range(10000, 10300):
        igd.add_by_hand(port, "192.168.7.9", 80)
    await upnp_to(igd).sweep(HOME, [])
    assert igd.counts["GetGenericPortMappingEntry"] == 200
