"""The network of a gateway that the configuration names, whatever the default route is."""

from __future__ import annotations

import sys

from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.machine import interfaces, lan
from pairingd.machine.names import ipv4_addresses
from pairingd.world import network


async def locate(gateway: str) -> Network | None:
    """Where we are: by the default route, unless the configuration names the `gateway`."""
    return await towards(gateway) if gateway else await network.current()


async def towards(host: str, platform: str = sys.platform) -> Network:
    """Our address on the route to `host`.

    Raises GatewayError `no-gateway` if there is no route, `local-network-denied` if macOS lets us
    find none.
    """
    gateway = await _address(host)
    try:
        own_address = _source(gateway, platform)
    except OSError as error:
        no_way = GatewayError(
            "no-gateway",
            f"there is no route to the configured gateway {host}: {error.strerror}",
            "fix [router] gateway or description_url in config.toml",
        )
        raise lan.explained(error, no_way, platform) from None
    return await network.named(own_address, gateway)


async def _address(host: str) -> str:
    try:
        return (await ipv4_addresses(host))[0]
    except OSError:
        raise GatewayError(
            "no-gateway",
            f"the configured gateway {host} was not found: its name could not be resolved",
            "write its address into [router] gateway or description_url in config.toml",
        ) from None


def _source(gateway: str, platform: str) -> str:
    """The kernel's choice; if macOS denies even that, our address near the gateway."""
    try:
        return interfaces.source_towards(gateway)
    except OSError as error:
        near = interfaces.near(gateway) if lan.is_denied(error, platform) else []
        if not near:
            raise
        usual = network.lan_address()
        return usual if usual in near else near[0]
