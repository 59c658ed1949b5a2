"""Which router is the second one, and that nothing beyond the home is ever asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import Struct, field

from pairingd.core import strict
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.machine import interfaces
from pairingd.reconcile.mapping.second import Second
from tests.core.make import BEYOND, HOME, OFFICE, mapping

INSIDE = replace(mapping(network=HOME.identity), external_host=BEYOND.behind, external_port=50022)
OUTER = replace(mapping(id="m2", network=BEYOND.identity), gateway=BEYOND.gateway)


class Home(Struct):
    """What Second sees of it."""

    here: Network | None = HOME
    held: Mapping | None = INSIDE
    hop: str = BEYOND.gateway
    journal: Sequence[Mapping] = ()
    now: float = 0.0
    probed: list[str] = field(default_factory=list)

    async def locate(self) -> Network | None:
        return self.here

    async def next_hop(self, gateway: str) -> str:
        self.probed.append(gateway)
        return self.hop

    def second(self, **settings: object) -> Second:
        return Second(
            strict.read(config.Router, settings),
            self.locate,
            lambda: self.held,
            lambda: self.journal,
            self.next_hop,
            steady=lambda: self.now,
        )


async def test_the_second_router_is_the_next_hop_after_the_first() -> None:
    home = Home()
    second = home.second()
    assert second.port() == 50022
    assert await second.locate() == BEYOND
    assert home.probed == [HOME.gateway]


async def test_the_way_is_probed_once_in_ten_minutes_and_again_at_another_address() -> None:
    home = Home()
    second = home.second()
    await second.locate()
    await second.locate()
    assert len(home.probed) == 1
    home.now = 600.0
    await second.locate()
    assert len(home.probed) == 2
    home.held = replace(INSIDE, external_host="192.168.0.8")
    found = await second.locate()
    assert found
    assert found.behind == "192.168.0.8"
    assert len(home.probed) == 3


@pytest.mark.parametrize(
    "hop", ["", HOME.gateway, "5.5.5.1", "10.0.0.1", "100.64.0.1", "172.16.0.1"]
)
async def test_a_next_hop_outside_the_home_is_not_asked(hop: str) -> None:
    with pytest.raises(GatewayError) as caught:
        await Home(hop=hop).second().locate()
    assert caught.value.code == "no-gateway"
    assert "second_gateway" in caught.value.hint


async def test_a_next_hop_on_our_own_network_is_refused_as_second_router(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody on our own network has forged the answer of the next hop."""
    monkeypatch.setattr(interfaces, "on_link", lambda host, _: host == "192.168.1.66")
    with pytest.raises(GatewayError) as caught:
        await Home(hop="192.168.1.66").second().locate()
    assert "192.168.1.66" in caught.value.message
    assert await Home(hop="192.168.0.1").second().locate() == BEYOND


async def test_the_first_router_configured_as_second_gateway_is_an_error() -> None:
    with pytest.raises(GatewayError):
        await Home().second(second_gateway=HOME.gateway).locate()


@pytest.mark.parametrize("host", ["5.5.5.1", "203.0.113.1", "192.0.0.2", "home.example.org", ""])
async def test_no_second_router_is_needed_if_the_first_is_not_inside_a_home(host: str) -> None:
    home = Home(held=replace(INSIDE, external_host=host))
    second = home.second()
    assert second.port() is None
    assert await second.locate() is None
    assert home.probed == []


@pytest.mark.parametrize(
    "settings",
    [{"second_gateway": "10.0.0.1"}, {"second_description_url": "http://10.0.0.1:49000/igd.xml"}],
)
@pytest.mark.parametrize("host", [BEYOND.behind, "100.64.0.7"])
async def test_a_second_router_named_in_the_configuration_is_asked(
    settings: dict[str, object], host: str
) -> None:
    home = Home(held=replace(INSIDE, external_host=host))
    found = await home.second(**settings).locate()
    assert found
    assert found.gateway == "10.0.0.1"
    assert home.probed == []


async def test_behind_a_shared_address_the_providers_pcp_server_is_asked() -> None:
    home = Home(held=replace(INSIDE, external_host="100.64.0.7"))
    found = await home.second().locate()
    assert found == replace(HOME, gateway="192.0.0.9", behind="100.64.0.7")
    assert home.probed == []


async def test_a_second_router_in_the_journal_is_found_without_the_first_routers_mapping() -> None:
    assert await Home(held=None, journal=[INSIDE, OUTER]).second().locate() == BEYOND
    assert await Home(OFFICE, held=None, journal=[INSIDE, OUTER]).second().locate() is None
    assert await Home(held=None, journal=[INSIDE]).second().locate() is None
    assert await Home(here=None, journal=[OUTER]).second().locate() is None
    vpn = replace(HOME, gateway="")
    assert await Home(vpn, journal=[OUTER]).second().locate() is None
