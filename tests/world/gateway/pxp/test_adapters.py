"""Both adapters against a gateway on loopback that can be made to lie."""

import socket
from collections.abc import AsyncIterator, Callable

import pytest

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.world.gateway.adapter import Adapter
from pairingd.world.gateway.pxp.datagrams import Datagrams
from pairingd.world.gateway.pxp.natpmp import NatPmpAdapter
from pairingd.world.gateway.pxp.pcp import PcpAdapter
from tests.fakes.pxp import FakePxp, garbage, has_ipv6_loopback, short, silence, wrong_nonce
from tests.world.gateway.conftest import RecordedJournal
from tests.world.gateway.test_router import router

HOME = Network("lo", "127.0.0.1", "127.0.0.1")
REQUESTED = Mapping(
    id="0123456789abcdef",
    protocol="",
    network=HOME.identity,
    gateway=HOME.gateway,
    external_host="",
    external_port=22,
    internal_host=HOME.address,
    internal_port=49222,
    token="00112233445566778899aabbccddeeff",
)


needs_ipv6 = pytest.mark.skipif(not has_ipv6_loopback(), reason="no ::1 on this machine")


class Clocks:
    wall = 1_800_000_000.0
    steady = 5000.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
async def gateway() -> AsyncIterator[FakePxp]:
    async with FakePxp() as fake:
        yield fake


@pytest.fixture
def impatient() -> None:
    """Silence is named after a moment, not four seconds."""


@pytest.fixture
def datagrams(request: pytest.FixtureRequest, gateway: FakePxp) -> Datagrams:
    if "impatient" in request.fixturenames:
        return Datagrams(gateway.port, uniform=lambda _low, _high: 0.05)
    return Datagrams(gateway.port)


@pytest.fixture
def pcp(datagrams: Datagrams, clocks: Clocks) -> PcpAdapter:
    return PcpAdapter(
        datagrams,
        lambda: clocks.wall,
        steady=lambda: clocks.steady,
        uniform=lambda low, _high: low,
    )


@pytest.fixture
def natpmp(datagrams: Datagrams, clocks: Clocks) -> NatPmpAdapter:
    return NatPmpAdapter(datagrams, lambda: clocks.wall, steady=lambda: clocks.steady)


@pytest.fixture(params=["pcp", "natpmp"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    chosen: Adapter = request.getfixturevalue(request.param)
    return chosen


def denied(reply: bytes) -> bytes:
    """NOT_AUTHORIZED, which has the same number in both protocols."""
    return reply[:3] + b"\x02" + reply[4:]


async def refusal(call: object) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        await call  # type: ignore[misc]
    return raised.value


class TestBoth:
    async def test_a_gateway_that_answers_is_found(self, adapter: Adapter) -> None:
        assert await adapter.probe(HOME)

    async def test_a_network_without_gateway_is_not_asked(
        self, adapter: Adapter, gateway: FakePxp
    ) -> None:
        assert not await adapter.probe(replace(HOME, gateway=""))
        assert gateway.packets == []

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("twist", [silence, garbage, short])
    async def test_a_gateway_without_a_valid_reply_is_not_found(
        self, adapter: Adapter, gateway: FakePxp, twist: Callable[..., list[bytes]]
    ) -> None:
        gateway.twist = twist
        assert not await adapter.probe(HOME)

    async def test_a_closed_port_is_no_gateway(self, adapter: Adapter, gateway: FakePxp) -> None:
        await gateway.close()
        assert not await adapter.probe(HOME)

    async def test_a_mapping_is_granted_with_its_lease(
        self, adapter: Adapter, gateway: FakePxp, clocks: Clocks
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        assert (mapping.external_host, mapping.external_port) == ("5.5.5.1", 22)
        assert mapping.granted_until == clocks.wall + 600
        assert mapping.renew_at == clocks.wall + 300
        assert gateway.held[49222].external_port == 22

    async def test_the_granted_lifetime_is_used(
        self, adapter: Adapter, gateway: FakePxp, clocks: Clocks
    ) -> None:
        gateway.lifetime = 120
        mapping = await adapter.open(REQUESTED, 600)
        assert (mapping.granted_until, mapping.renew_at) == (clocks.wall + 120, clocks.wall + 60)

    async def test_a_lifetime_of_years_is_limited_to_a_day(
        self, adapter: Adapter, gateway: FakePxp, clocks: Clocks
    ) -> None:
        gateway.lifetime = 2**32 - 1
        assert (await adapter.open(REQUESTED, 600)).granted_until == clocks.wall + 86400

    async def test_a_short_lifetime_is_renewed_after_four_seconds(
        self, adapter: Adapter, gateway: FakePxp, clocks: Clocks
    ) -> None:
        gateway.lifetime = 5
        assert (await adapter.open(REQUESTED, 600)).renew_at == clocks.wall + 4

    @pytest.mark.parametrize("lifetime", [0, 1, 4])
    async def test_a_grant_for_less_than_five_seconds_is_refused_and_closed(
        self, adapter: Adapter, gateway: FakePxp, lifetime: int
    ) -> None:
        gateway.lifetime = lifetime
        journal = RecordedJournal()
        with pytest.raises(GatewayError) as raised:
            await router(journal, adapter).open(HOME, internal_port=49222, external_port=22)
        assert raised.value.code == "router-lied"
        assert (gateway.held, journal) == ({}, {})

    @pytest.mark.parametrize("refuses_deletions", [False, True])
    async def test_a_refusal_leaves_nothing_on_the_gateway_or_in_the_journal(
        self, adapter: Adapter, gateway: FakePxp, *, refuses_deletions: bool
    ) -> None:
        """Also of a gateway that makes what it refuses."""

        def refuse(request: bytes, reply: bytes) -> list[bytes]:
            is_deletion = not any(request[4:8] if request[0] == 2 else request[8:12])
            if len(request) < 12 or (is_deletion and not refuses_deletions):
                return [reply]
            return [reply[:3] + b"\x03" + reply[4:]]

        gateway.twist = refuse
        journal = RecordedJournal()
        with pytest.raises(GatewayError) as raised:
            await router(journal, adapter).open(HOME, internal_port=49222, external_port=22)
        assert raised.value.code == "router-failed"
        assert (gateway.held, journal) == ({}, {})

    async def test_another_port_is_reported(self, adapter: Adapter, gateway: FakePxp) -> None:
        gateway.taken = {22}
        gateway.obeys_prefer_failure = False
        granted = await adapter.open(REQUESTED, 600)
        assert granted.external_port == 23
        await adapter.close(granted)
        assert gateway.held == {}

    async def test_a_port_that_the_router_assigns_is_taken_unless_the_host_has_chosen(
        self, adapter: Adapter, gateway: FakePxp
    ) -> None:
        gateway.assigns = 61001
        gateway.obeys_prefer_failure = False
        journal = RecordedJournal()
        home = router(journal, adapter)
        with pytest.raises(GatewayError) as raised:
            await home.open(HOME, internal_port=49222, external_port=22, chosen=True)
        assert raised.value.code == "port-taken"
        assert (gateway.held, journal) == ({}, {})
        mapping = await home.open(HOME, internal_port=49222, external_port=22)
        assert mapping.external_port == 61001
        assert list(journal) == [mapping.id]
        assert (await home.renew(mapping)).external_port == 61001
        await home.close(mapping)
        assert gateway.held == {}

    async def test_a_router_that_refuses_the_suggested_port_is_asked_for_any(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        gateway.assigns = 61001
        mapping = await router(RecordedJournal(), pcp).open(
            HOME, internal_port=49222, external_port=22
        )
        assert mapping.external_port == 61001

    async def test_an_assigned_port_where_another_server_listens_is_closed_again(
        self, adapter: Adapter, gateway: FakePxp
    ) -> None:
        with socket.create_server((HOME.address, 0)) as own_sshd:
            gateway.assigns = own_sshd.getsockname()[1]
            gateway.obeys_prefer_failure = False
            with pytest.raises(GatewayError) as raised:
                await router(RecordedJournal(), adapter).open(
                    HOME, internal_port=49222, external_port=22
                )
        assert raised.value.code == "port-taken"
        assert gateway.held == {}

    async def test_renewal_keeps_the_port(
        self, adapter: Adapter, gateway: FakePxp, clocks: Clocks
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        clocks.pass_(300)
        renewed = await adapter.renew(mapping, 600)
        assert renewed.granted_until == clocks.wall + 600
        assert replace(renewed, granted_until=None, renew_at=None) == replace(
            mapping, granted_until=None, renew_at=None
        )
        assert len(gateway.held) == 1

    async def test_a_renewal_after_the_port_went_to_another_has_one_of_its_own(
        self, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        mapping = await natpmp.open(REQUESTED, 600)
        gateway.reboot()
        gateway.taken = {22}
        assert (await natpmp.renew(mapping, 600)).external_port == 23

    async def test_closing_removes_the_mapping_and_may_be_repeated(
        self, adapter: Adapter, gateway: FakePxp
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        await adapter.close(mapping)
        assert gateway.held == {}
        await adapter.close(mapping)

    @pytest.mark.usefixtures("impatient")
    async def test_an_unanswered_deletion_is_not_called_done(
        self, adapter: Adapter, gateway: FakePxp
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        gateway.twist = silence
        assert (await refusal(adapter.close(mapping))).code == "router-silent"

    async def test_a_mapping_is_present_while_the_epoch_advances_with_the_clock(
        self, adapter: Adapter, gateway: FakePxp, clocks: Clocks
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        clocks.pass_(60)
        gateway.epoch += 60
        assert await adapter.check(mapping) is Presence.PRESENT

    async def test_an_epoch_that_stands_still_shows_no_restart(
        self, adapter: Adapter, clocks: Clocks
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        clocks.pass_(60)
        assert await adapter.check(mapping) is Presence.PRESENT

    async def test_a_check_costs_one_packet_each_way(
        self, adapter: Adapter, gateway: FakePxp
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        gateway.packets.clear()
        await adapter.check(mapping)
        assert len(gateway.packets) == 1

    async def test_a_mapping_is_absent_after_a_new_epoch_until_renewed(
        self, adapter: Adapter, gateway: FakePxp, clocks: Clocks
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        gateway.reboot()
        clocks.pass_(60)
        gateway.epoch += 5
        assert await adapter.check(mapping) is Presence.ABSENT
        clocks.pass_(60)
        gateway.epoch += 60
        assert await adapter.check(mapping) is Presence.ABSENT
        mapping = await adapter.renew(mapping, 600)
        assert await adapter.check(mapping) is Presence.PRESENT

    async def test_a_mapping_is_absent_after_its_lease(
        self, adapter: Adapter, clocks: Clocks
    ) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        clocks.pass_(600)
        assert await adapter.check(mapping) is Presence.ABSENT

    @pytest.mark.usefixtures("impatient")
    async def test_silence_is_unknown(self, adapter: Adapter, gateway: FakePxp) -> None:
        mapping = await adapter.open(REQUESTED, 600)
        gateway.twist = silence
        assert await adapter.check(mapping) is Presence.UNKNOWN

    async def test_a_mapping_granted_to_another_process_is_unknown(self, adapter: Adapter) -> None:
        journaled = replace(REQUESTED, external_host="5.5.5.1", granted_until=2e9)
        assert await adapter.check(journaled) is Presence.UNKNOWN

    @pytest.mark.parametrize("bogus", ["0.0.0.0", "127.0.0.1"])
    async def test_an_impossible_external_address_is_dropped(
        self, adapter: Adapter, gateway: FakePxp, bogus: str
    ) -> None:
        gateway.external = bogus
        assert (await adapter.open(REQUESTED, 600)).external_host == ""

    async def test_a_shared_external_address_is_returned_unchanged(
        self, adapter: Adapter, gateway: FakePxp
    ) -> None:
        gateway.external = "100.64.3.4"
        assert (await adapter.open(REQUESTED, 600)).external_host == "100.64.3.4"


class TestPcp:
    async def test_a_natpmp_only_gateway_is_not_found(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        gateway.pcp = False
        assert not await pcp.probe(HOME)
        assert len(gateway.packets) == 1

    @pytest.mark.usefixtures("impatient")
    async def test_natpmp_is_found_where_pcp_is_silent(
        self, pcp: PcpAdapter, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        gateway.twist = lambda request, reply: [reply] if request[0] == 0 else []
        assert (await pcp.probe(HOME), await natpmp.probe(HOME)) == (False, True)

    async def test_one_nonce_serves_opening_renewal_and_deletion(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        mapping = await pcp.open(REQUESTED, 600)
        await pcp.renew(mapping, 600)
        await pcp.close(mapping)
        nonces = {packet[24:36].hex() for packet in gateway.packets}
        assert nonces == {dict(mapping.handle)["nonce"]}

    async def test_the_entry_journaled_before_opening_is_enough_to_delete(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        await pcp.open(REQUESTED, 600)
        await pcp.close(REQUESTED)
        assert gateway.held == {}

    async def test_each_mapping_has_its_own_nonce(self, pcp: PcpAdapter) -> None:
        first = await pcp.open(REQUESTED, 600)
        await pcp.close(first)
        second = await pcp.open(replace(REQUESTED, id="another"), 600)
        assert first.handle != second.handle

    async def test_failure_is_preferred_to_another_port(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        gateway.taken = {22}
        assert (await refusal(pcp.open(REQUESTED, 600))).code == "port-taken"
        assert len(gateway.packets) == 1

    async def test_failure_is_preferred_to_another_port_on_renewal_too(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        mapping = await pcp.open(REQUESTED, 600)
        gateway.reboot()
        gateway.taken = {22}
        gateway.packets.clear()
        assert (await refusal(pcp.renew(mapping, 600))).code == "port-taken"
        assert len(gateway.packets) == 1

    async def test_a_gateway_without_options_is_asked_without(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        gateway.knows_options = False
        await pcp.open(REQUESTED, 600)
        assert [len(packet) for packet in gateway.packets] == [64, 60]

    @pytest.mark.usefixtures("impatient")
    async def test_a_wrong_nonce_is_no_answer(self, pcp: PcpAdapter, gateway: FakePxp) -> None:
        gateway.twist = wrong_nonce
        assert (await refusal(pcp.open(REQUESTED, 600))).code == "router-silent"

    @pytest.mark.parametrize(
        ("result", "code"),
        [
            (2, "not-permitted"),
            (7, "router-failed"),
            (8, "port-taken"),
            (10, "router-failed"),
            (11, "port-taken"),
            (12, "router-failed"),
            (200, "router-failed"),
        ],
    )
    async def test_a_refusal_has_its_code(
        self, pcp: PcpAdapter, gateway: FakePxp, result: int, code: str
    ) -> None:
        gateway.twist = lambda _, reply: [reply[:3] + bytes([result]) + reply[4:]]
        assert (await refusal(pcp.open(REQUESTED, 600))).code == code

    async def test_another_hosts_nonce_is_not_permitted_to_delete(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        mapping = await pcp.open(REQUESTED, 600)
        stranger = replace(mapping, handle=(("nonce", "00" * 12),))
        assert (await refusal(pcp.close(stranger))).code == "not-permitted"
        assert 49222 in gateway.held

    async def test_a_reply_to_a_deletion_with_a_lifetime_left_is_an_error(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        mapping = await pcp.open(REQUESTED, 600)
        gateway.twist = lambda _, reply: [reply[:7] + b"\x09" + reply[8:]]
        assert (await refusal(pcp.close(mapping))).code == "router-lied"

    async def test_no_resources_in_reply_to_a_deletion_means_closed(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        gateway.twist = lambda _, reply: [reply[:3] + b"\x08" + reply[4:]]
        await pcp.close(REQUESTED)

    async def test_a_deletion_suggests_nothing(self, pcp: PcpAdapter, gateway: FakePxp) -> None:
        await pcp.close(await pcp.open(REQUESTED, 600))
        deletion = gateway.packets[-1]
        assert len(deletion) == 60
        assert deletion[42:] == bytes.fromhex("0000 00000000000000000000ffff 00000000")

    async def test_renewal_suggests_the_granted_port_and_address(
        self, pcp: PcpAdapter, gateway: FakePxp
    ) -> None:
        await pcp.renew(await pcp.open(REQUESTED, 600), 600)
        assert gateway.packets[-1][42:60] == bytes.fromhex("0016 00000000000000000000ffff 05050501")

    @needs_ipv6
    async def test_a_pinhole_is_a_mapping_between_ipv6_addresses(self, clocks: Clocks) -> None:
        async with FakePxp(address="::1", external="2a02::10") as gateway:
            pcp = PcpAdapter(Datagrams(gateway.port), lambda: clocks.wall)
            ipv6_mapping = replace(
                REQUESTED, gateway="::1", internal_host="::1", external_port=49222
            )
            mapping = await pcp.open(ipv6_mapping, 600)
            assert (mapping.external_host, mapping.external_port) == ("2a02::10", 49222)
            await pcp.renew(mapping, 600)
            await pcp.close(mapping)
            assert gateway.held == {}


class TestNatPmp:
    async def test_a_deletion_names_the_internal_port_only(
        self, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        await natpmp.close(REQUESTED)
        assert gateway.packets == [bytes.fromhex("0002 0000 c046 0000 00000000")]

    async def test_closing_an_earlier_entry_keeps_the_mapping_opened_after_it(
        self, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        await natpmp.open(REQUESTED, 600)
        later = await natpmp.open(replace(REQUESTED, id="another", external_port=50022), 600)
        await natpmp.close(REQUESTED)
        assert gateway.held[49222].external_port == 50022
        await natpmp.close(later)
        assert gateway.held == {}

    async def test_a_mapping_of_another_network_keeps_nothing_open_in_this_one(
        self, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        elsewhere = replace(
            REQUESTED, id="another", network="lo/127.0.0.1/127.0.0.1/02:00:00:00:00:01"
        )
        await natpmp.open(REQUESTED, 600)
        await natpmp.open(elsewhere, 600)
        await natpmp.close(REQUESTED)
        assert gateway.held == {}

    @pytest.mark.parametrize(
        ("result", "code"),
        [
            (2, "not-permitted"),
            (3, "router-failed"),
            (4, "port-taken"),
            (5, "router-failed"),
            (99, "router-failed"),
        ],
    )
    async def test_a_refusal_has_its_code(
        self, natpmp: NatPmpAdapter, gateway: FakePxp, result: int, code: str
    ) -> None:
        gateway.result = result
        assert (await refusal(natpmp.open(REQUESTED, 600))).code == code

    async def test_no_mapping_is_requested_while_the_gateway_is_offline(
        self, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        gateway.twist = lambda _, reply: [reply[:3] + b"\x03" + reply[4:]]
        assert (await refusal(natpmp.open(REQUESTED, 600))).code == "router-failed"
        assert len(gateway.packets) == 1

    async def test_a_new_external_address_makes_the_mapping_absent(
        self, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        mapping = await natpmp.open(REQUESTED, 600)
        gateway.external = "5.5.5.9"
        assert await natpmp.check(mapping) is Presence.ABSENT
        assert (await natpmp.renew(mapping, 600)).external_host == "5.5.5.9"

    async def test_an_unsupported_version_is_no_gateway(
        self, natpmp: NatPmpAdapter, gateway: FakePxp
    ) -> None:
        gateway.twist = lambda _, reply: [reply[:3] + b"\x01" + reply[4:8]]
        assert not await natpmp.probe(HOME)
        assert (await refusal(natpmp.open(REQUESTED, 600))).code == "no-gateway"
