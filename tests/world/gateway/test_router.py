from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
from collections.abc import Sequence

import pytest

from pairingd.core import strict
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.adapter import Adapter, Record, nobody_records
from pairingd.world.gateway.router import Router, high_port
from pairingd.world.gateway.upnp.mappings import UpnpAdapter
from tests.fakes.igd import FakeIgd, Quirk
from tests.world.gateway.conftest import HOME, NOW, RecordedJournal, free_port, upnp_to

HIGH = 50022


class Scripted:
    """An adapter that answers as told. `refusals` maps an external port to a code."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.answers = True
        self.probes = 0
        self.release: asyncio.Event | None = None
        self.refusals: dict[int, str] = {}
        self.assigned: dict[int, int] = {}
        self.closing: str | None = None
        self.held: list[int] = []

    async def probe(self, network: Network) -> bool:
        self.probes += 1
        if self.release:
            await self.release.wait()
        return self.answers

    async def open(
        self,
        requested: Mapping,
        lease: int,
        *,
        exact: bool = True,
        record: Record = nobody_records,
    ) -> Mapping:
        port = requested.external_port
        if code := self.refusals.get(port):
            raise GatewayError(code, f"{self.protocol} {port}", "mend it")
        port = self.assigned.get(port, port)
        self.held.append(port)
        return replace(requested, external_port=port, granted_until=NOW + lease)

    async def renew(
        self, mapping: Mapping, lease: int, *, record: Record = nobody_records
    ) -> Mapping:
        port = self.assigned.get(mapping.external_port, mapping.external_port)
        return replace(mapping, external_port=port, granted_until=NOW + 2 * lease)

    async def check(self, mapping: Mapping, *, quick: bool = False) -> Presence:
        held = mapping.external_port in self.held
        return Presence.PRESENT if held else Presence.ABSENT

    async def close(self, mapping: Mapping) -> None:
        if self.closing:
            raise GatewayError(self.closing, "no", "mend it")
        if mapping.external_port in self.held:
            self.held.remove(mapping.external_port)


class Searching(Scripted):
    """One that does not find its gateway until it is told of it."""

    def __init__(self) -> None:
        super().__init__("upnp")
        self.answers = False

    async def learn(self, network: Network, locations: Sequence[str]) -> None:
        self.answers = locations == ["http://127.0.0.1/x"]


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def router(journal: RecordedJournal, *adapters: Adapter, **settings: object) -> Router:
    tokens = (f"{number:032x}" for number in itertools.count(16**24, 16**24))
    return Router(
        strict.read(config.Router, settings),
        journal,
        Clock(),
        adapters=adapters,
        token=lambda: next(tokens),
        high_port=lambda _: HIGH,
    )


def to(igd: FakeIgd, journal: RecordedJournal) -> Router:
    settings = config.Router(description_url=igd.description_url)
    return router(journal, UpnpAdapter(settings, lambda: NOW))


# With a router


async def test_a_mapping_is_opened_checked_renewed_and_closed(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    home = to(igd, journal)
    await home.probe(HOME)
    mapping = await home.open(HOME, internal_port=50111, external_port=22)
    assert journal == {mapping.id: mapping}
    assert await home.check(mapping) is Presence.PRESENT
    renewed = await home.renew(mapping)
    assert journal == {mapping.id: renewed}
    await home.close(renewed)
    assert journal == {}
    assert igd.mappings == {}


async def test_low_ports_refused_gives_the_high_port(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    igd.quirks.add(Quirk.LOW_PORTS_REFUSED)
    mapping = await to(igd, journal).open(HOME, internal_port=50111, external_port=22)
    assert mapping.external_port == HIGH
    assert list(journal) == [mapping.id]


async def test_foreign_22_gives_the_high_port(igd: FakeIgd, journal: RecordedJournal) -> None:
    igd.add_by_hand(22, "192.168.7.9", 22)
    mapping = await to(igd, journal).open(HOME, internal_port=50111, external_port=22)
    assert mapping.external_port == HIGH
    assert igd.mappings[22].client == "192.168.7.9"


async def test_same_port_only_gives_the_doors_own_port(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    igd.quirks.add(Quirk.SAME_PORT_ONLY)
    mapping = await to(igd, journal).open(HOME, internal_port=50111, external_port=22)
    assert mapping.external_port == 50111


# Another server of this machine is never exposed


@pytest.mark.attack(
    "a router leads each port to the same port of the host", "no port of a server is requested"
)
@pytest.mark.parametrize("quirk", [Quirk.UNSHOWN, Quirk.INTERNAL_PORT_IGNORED, None])
async def test_a_port_where_another_server_listens_is_not_requested(
    igd: FakeIgd, journal: RecordedJournal, quirk: Quirk | None
) -> None:
    igd.quirks |= {quirk} if quirk else set()
    home = to(igd, journal)
    with socket.create_server((HOME.address, 0)) as own_sshd:
        own_port = own_sshd.getsockname()[1]
        for _ in range(3):
            with contextlib.suppress(GatewayError):
                mapping = await home.open(HOME, internal_port=50111, external_port=own_port)
                assert mapping.external_port == HIGH
                await home.close(mapping)
    assert own_port not in igd.requested
    assert set(igd.requested) == {HIGH}
    assert (journal, igd.mappings) == ({}, {})


@pytest.mark.parametrize("code", ["router-failed", "router-silent", "no-gateway"])
async def test_why_the_other_port_is_refused_is_raised_and_not_port_occupied(
    journal: RecordedJournal, code: str
) -> None:
    upnp = Scripted("upnp")
    upnp.refusals = {HIGH: code}
    with socket.create_server((HOME.address, 0)) as own_sshd:
        own_port = own_sshd.getsockname()[1]
        with pytest.raises(GatewayError) as caught:
            await router(journal, upnp).open(HOME, internal_port=50111, external_port=own_port)
    assert (caught.value.code, caught.value.message) == (code, f"upnp {HIGH}")


async def test_a_router_that_honours_internal_ports_is_asked_for_any_port(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    journal.judge(HOME.identity, honours=True)
    with socket.create_server((HOME.address, 0)) as own_sshd:
        own_port = own_sshd.getsockname()[1]
        mapping = await to(igd, journal).open(HOME, internal_port=50111, external_port=own_port)
    assert mapping.external_port == own_port


async def test_a_router_that_ignores_internal_ports_is_asked_only_for_the_door_s_own_port(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    igd.quirks.add(Quirk.INTERNAL_PORT_IGNORED)
    for _ in range(3):
        with pytest.raises(GatewayError) as caught:
            await to(igd, journal).open(HOME, internal_port=50111, external_port=22)
        assert caught.value.code == "router-lied"
    assert igd.counts["AddPortMapping"] == 1
    mapping = await to(igd, journal).open(HOME, internal_port=50111, external_port=50111)
    assert mapping.external_port == 50111
    await to(igd, journal).close(mapping)
    igd.add_by_hand(50111, "192.168.1.9", 80)
    igd.requested.clear()
    for chosen in (True, False):
        with pytest.raises(GatewayError) as caught:
            await to(igd, journal).open(
                HOME, internal_port=50111, external_port=50111, chosen=chosen
            )
        assert caught.value.code == "port-taken"
    assert set(igd.requested) <= {50111}


async def test_a_renewal_is_refused_where_another_server_listens_by_now(
    journal: RecordedJournal,
) -> None:
    adapter = Scripted("upnp")
    home = router(journal, adapter)
    away = replace(HOME, gateway="192.168.1.1")
    mapping = await home.open(away, internal_port=50111, external_port=free_port())
    with socket.create_server((HOME.address, mapping.external_port)):
        with pytest.raises(GatewayError) as caught:
            await home.renew(mapping)
        assert caught.value.code == "port-occupied"
        journal.judge(away.identity, honours=True)
        await home.renew(mapping)


async def test_a_renewal_at_another_port_is_refused_where_that_may_be_another_server_s(
    journal: RecordedJournal,
) -> None:
    adapter = Scripted("pcp")
    home = router(journal, adapter)
    mapping = await home.open(HOME, internal_port=50111, external_port=free_port())
    adapter.assigned[mapping.external_port] = assigned = free_port()
    assert (await home.renew(mapping)).external_port == assigned
    with pytest.raises(GatewayError, match=f"instead of {mapping.external_port}"):
        await home.renew(mapping, exact=True)
    with (
        socket.create_server((HOME.address, assigned)),
        pytest.raises(GatewayError, match=f"instead of {mapping.external_port}"),
    ):
        await home.renew(mapping)


async def test_the_probe_does_not_wait_for_nat_pmp_if_pcp_answers(
    journal: RecordedJournal,
) -> None:
    pcp, natpmp = Scripted("pcp"), Scripted("natpmp")
    home = router(journal, pcp, natpmp)
    await home.probe(HOME)
    assert (pcp.probes, natpmp.probes) == (1, 0)
    pcp.answers = False
    await router(journal, pcp, natpmp).probe(HOME)
    assert natpmp.probes == 1


async def test_a_lease_too_short_to_renew_is_closed_again(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    igd.quirks.add(Quirk.LEASE_SHORT)
    with pytest.raises(GatewayError, match="too short"):
        await to(igd, journal).open(HOME, internal_port=50111, external_port=22)
    assert (journal, igd.mappings) == ({}, {})


async def test_606_on_both_ports_is_the_error_not_permitted(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    igd.failing["AddPortMapping"] = 606
    with pytest.raises(GatewayError) as caught:
        await to(igd, journal).open(HOME, internal_port=50111, external_port=22)
    assert caught.value.code == "not-permitted"
    assert journal == {}


@pytest.mark.parametrize("quirk", [Quirk.INTERNAL_PORT_IGNORED, Quirk.ONLY_PERMANENT])
async def test_an_unusable_router_is_not_asked_for_a_second_port(
    igd: FakeIgd, journal: RecordedJournal, quirk: Quirk
) -> None:
    igd.quirks.add(quirk)
    with pytest.raises(GatewayError) as caught:
        await to(igd, journal).open(HOME, internal_port=50111, external_port=22)
    assert caught.value.code in ("router-lied", "permanent-only")
    assert igd.counts["AddPortMapping"] == 1
    assert journal == {}
    assert igd.mappings == {}


async def test_a_delete_that_fails_stays_in_the_journal(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    home = to(igd, journal)
    mapping = await home.open(HOME, internal_port=50111, external_port=22)
    igd.quirks.add(Quirk.DELETE_IGNORED)
    with pytest.raises(GatewayError):
        await home.close(mapping)
    assert list(journal) == [mapping.id]


async def test_a_mapping_is_closed_by_the_entry_written_before_a_power_loss(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    """All that the next start has is the entry written before the router was asked."""
    before = RecordedJournal()
    home = to(igd, before)
    await home.open(HOME, internal_port=50111, external_port=22)
    left = replace(next(iter(before.values())), handle=(), external_host="", granted_until=None)
    journal.record(left)
    await to(igd, journal).close(left)
    assert igd.mappings == {}
    assert journal == {}


# With scripted adapters


async def test_the_journal_is_written_before_each_request(journal: RecordedJournal) -> None:
    adapter = Scripted("upnp")
    adapter.refusals = {22: "port-taken"}
    await router(journal, adapter).open(HOME, internal_port=50111, external_port=22)
    assert journal.history == [("record", 22), ("erase", 22), ("record", HIGH), ("record", HIGH)]


async def test_a_silent_routers_attempt_stays_in_the_journal(journal: RecordedJournal) -> None:
    adapter = Scripted("upnp")
    adapter.refusals = {22: "router-silent"}
    with pytest.raises(GatewayError) as caught:
        await router(journal, adapter).open(HOME, internal_port=50111, external_port=22)
    assert caught.value.code == "router-silent"
    assert [mapping.external_port for mapping in journal.values()] == [22]


@pytest.mark.parametrize(("closing", "left"), [(None, []), ("router-silent", [22])])
async def test_an_unclear_refusal_is_undone_or_kept(
    journal: RecordedJournal, closing: str | None, left: list[int]
) -> None:
    adapter = Scripted("upnp")
    adapter.refusals = {22: "router-failed"}
    adapter.closing = closing
    await router(journal, adapter).open(HOME, internal_port=50111, external_port=22)
    kept = [entry.external_port for entry in journal.values() if entry.granted_until is None]
    assert kept == left


async def test_protocols_are_tried_in_the_configured_order(journal: RecordedJournal) -> None:
    pcp, upnp = Scripted("pcp"), Scripted("upnp")
    home = router(journal, pcp, upnp, protocols=["upnp", "pcp"])
    mapping = await home.open(HOME, internal_port=50111, external_port=22)
    assert mapping.protocol == "upnp"
    assert pcp.held == []


async def test_nat_pmp_is_not_asked_if_pcp_answers(journal: RecordedJournal) -> None:
    """miniupnpd 2.3.1 would hang for a minute."""
    pcp, natpmp, upnp = Scripted("pcp"), Scripted("natpmp"), Scripted("upnp")
    pcp.refusals = {22: "port-taken"}
    mapping = await router(journal, pcp, natpmp, upnp).open(
        HOME, internal_port=50111, external_port=22
    )
    assert mapping.protocol == "upnp"
    assert natpmp.held == []


async def test_nat_pmp_is_asked_if_pcp_is_silent(journal: RecordedJournal) -> None:
    pcp, natpmp = Scripted("pcp"), Scripted("natpmp")
    pcp.answers = False
    mapping = await router(journal, pcp, natpmp).open(HOME, internal_port=50111, external_port=22)
    assert mapping.protocol == "natpmp"


async def test_a_protocol_that_does_not_answer_is_skipped(journal: RecordedJournal) -> None:
    pcp, upnp = Scripted("pcp"), Scripted("upnp")
    pcp.answers = False
    mapping = await router(journal, pcp, upnp).open(HOME, internal_port=50111, external_port=22)
    assert mapping.protocol == "upnp"


async def test_a_different_assigned_port_is_closed_if_another_protocol_gives_the_requested(
    journal: RecordedJournal,
) -> None:
    pcp, upnp = Scripted("pcp"), Scripted("upnp")
    pcp.assigned = {22: 23}
    mapping = await router(journal, pcp, upnp).open(HOME, internal_port=50111, external_port=22)
    assert (mapping.protocol, mapping.external_port) == ("upnp", 22)
    assert pcp.held == []
    assert list(journal) == [mapping.id]


async def test_assigned_port_differs_is_accepted_at_last(journal: RecordedJournal) -> None:
    pcp = Scripted("pcp")
    pcp.assigned = {22: 23, HIGH: 60000}
    mapping = await router(journal, pcp).open(HOME, internal_port=50111, external_port=22)
    assert mapping.external_port == 60000
    assert pcp.held == [60000]


async def test_the_most_specific_refusal_is_raised(journal: RecordedJournal) -> None:
    pcp, upnp = Scripted("pcp"), Scripted("upnp")
    pcp.refusals = {22: "router-failed", HIGH: "router-silent"}
    upnp.refusals = {22: "port-taken", HIGH: "not-permitted"}
    with pytest.raises(GatewayError) as caught:
        await router(journal, pcp, upnp).open(HOME, internal_port=50111, external_port=22)
    assert caught.value.message == f"upnp {HIGH}"


async def test_a_probe_that_failed_without_descriptors_is_tried_again(
    journal: RecordedJournal,
) -> None:
    class Starved(Scripted):
        async def probe(self, network: Network) -> bool:
            if self.probes == 0:
                self.probes += 1
                raise OSError(errno.EMFILE, "Too many open files")
            return await super().probe(network)

    starved = router(journal, Starved("pcp"))
    with pytest.raises(OSError, match="Too many"):
        await starved.open(HOME, internal_port=50111, external_port=22)
    assert (await starved.open(HOME, internal_port=50111, external_port=22)).protocol == "pcp"


async def test_no_gateway_is_raised_if_no_adapter_answers(journal: RecordedJournal) -> None:
    silent = Scripted("upnp")
    silent.answers = False
    for home in (router(journal, silent), router(journal)):
        with pytest.raises(GatewayError) as caught:
            await home.open(HOME, internal_port=50111, external_port=22)
        assert caught.value.code == "no-gateway"
        assert "[relay]" in caught.value.hint
    assert journal.history == []


async def test_a_wrong_description_url_is_named_though_other_protocols_are_silent(
    igd: FakeIgd, journal: RecordedJournal
) -> None:
    igd.quirks.add(Quirk.NO_WAN_SERVICE)
    silent = Scripted("pcp")
    silent.answers = False
    with pytest.raises(GatewayError) as caught:
        await router(journal, silent, upnp_to(igd)).open(
            HOME, internal_port=50111, external_port=22
        )
    assert caught.value.code == "no-gateway"
    assert igd.description_url in caught.value.message


async def test_open_shares_a_probe_under_way(journal: RecordedJournal) -> None:
    adapter = Scripted("upnp")
    adapter.release = asyncio.Event()
    home = router(journal, adapter)
    probing = asyncio.create_task(home.probe(HOME))
    opening = asyncio.create_task(home.open(HOME, internal_port=50111, external_port=22))
    await asyncio.sleep(0)
    adapter.release.set()
    await asyncio.gather(probing, opening)
    assert adapter.probes == 1


async def test_giving_up_one_open_leaves_the_shared_probe_running(
    journal: RecordedJournal,
) -> None:
    adapter = Scripted("upnp")
    adapter.release = asyncio.Event()
    home = router(journal, adapter)
    probing = asyncio.create_task(home.probe(HOME))
    opening = asyncio.create_task(home.open(HOME, internal_port=50111, external_port=22))
    await asyncio.sleep(0)
    opening.cancel()
    adapter.release.set()
    await probing
    await home.open(HOME, internal_port=50111, external_port=22)
    assert adapter.probes == 1


@pytest.mark.parametrize(
    ("answers", "later", "network", "probes"),
    [
        (True, 599, HOME, 1),
        (True, 600, HOME, 2),
        (True, -1, HOME, 2),
        (True, 0, replace(HOME, gateway_mac="02:00:00:00:00:01"), 2),
        (False, 1, HOME, 2),
    ],
    ids=["kept", "old", "clock set back", "same_subnet_other_gateway_mac", "negative"],
)
async def test_probe_is_kept(
    journal: RecordedJournal, answers: bool, later: float, network: Network, probes: int
) -> None:
    adapter = Scripted("upnp")
    adapter.answers = answers
    clock = Clock()
    home = Router(config.Router(), journal, clock, adapters=[adapter])
    await home.probe(HOME)
    clock.now += later
    await home.probe(network)
    assert adapter.probes == probes


async def test_an_unknown_protocols_entry_is_kept_and_named(journal: RecordedJournal) -> None:
    pcp = Scripted("pcp")
    mapping = await router(journal, pcp).open(HOME, internal_port=50111, external_port=22)
    with pytest.raises(GatewayError, match="pcp"):
        await router(journal).close(mapping)
    assert list(journal) == [mapping.id]


def test_the_high_port_is_always_the_same_and_dynamic() -> None:
    assert high_port(HOME) == high_port(Network("other0", HOME.address, HOME.gateway))
    ports = {high_port(Network("lo", f"10.0.0.{n}", "10.0.0.254")) for n in range(50)}
    assert len(ports) > 40
    assert all(49152 <= port <= 65535 for port in ports)


async def test_after_a_gateway_url_is_given_the_next_open_probes_again(
    journal: RecordedJournal,
) -> None:
    adapter = Searching()
    adapter.release = asyncio.Event()
    several = router(journal, adapter)
    looking = asyncio.create_task(several.probe(HOME))
    await asyncio.sleep(0)
    await several.learn(HOME, ["http://127.0.0.1/x"])
    adapter.release.set()
    opened = await several.open(HOME, internal_port=50111, external_port=22)
    assert opened.external_port == 22
    assert adapter.probes == 2
    await looking


async def test_a_gateway_url_is_refused_if_no_configured_protocol_searches(
    journal: RecordedJournal,
) -> None:
    both = router(journal, Scripted("pcp"), Searching(), protocols=["pcp"])
    with pytest.raises(GatewayError) as caught:
        await both.learn(HOME, ["http://127.0.0.1/x"])
    assert caught.value.code == "search-unwanted"
