from __future__ import annotations

from dataclasses import replace

from pairingd.core.network import Network, router_of
from tests.core.make import HOME, OFFICE


def test_router_of_is_the_same_over_every_interface_and_address() -> None:
    def router(network: Network) -> str:
        return router_of(network.identity)

    assert router(HOME) == router(replace(HOME, interface="wlan0", address="192.168.1.11"))
    assert router(HOME) != router(OFFICE)
    assert router(HOME) != router(replace(HOME, gateway="192.168.1.2"))
