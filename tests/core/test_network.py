from __future__ import annotations

from pairingd.core.network import Network, router_of
from pairingd.core.records import replace
from tests.core.make import BEYOND, HOME, OFFICE, mapping


def test_router_of_is_the_same_over_every_interface_and_address() -> None:
    def router(network: Network) -> str:
        return router_of(network.identity)

    assert router(HOME) == router(replace(HOME, interface="wlan0", address="192.168.1.11"))
    assert router(HOME) != router(OFFICE)
    assert router(HOME) != router(replace(HOME, gateway="192.168.1.2"))


def test_a_second_routers_client_is_the_first_routers_address() -> None:
    assert (HOME.client, BEYOND.client) == (HOME.address, BEYOND.behind)
    assert Network.of(BEYOND.identity) == BEYOND
    assert Network.of(HOME.identity) == HOME
    assert Network.of("home") == Network("home", "", "")
    inside = replace(mapping(network=BEYOND.identity), internal_host=BEYOND.behind)
    assert (inside.beyond, inside.source) == (True, BEYOND.address)
    assert not mapping().beyond
    assert mapping().source == mapping().internal_host


def test_the_same_numbers_behind_another_router_are_another_network() -> None:
    assert replace(BEYOND, behind="192.168.0.8").identity != BEYOND.identity
    assert replace(BEYOND, behind="").identity != BEYOND.identity
