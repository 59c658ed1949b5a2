"""The network of a gateway that the configuration names, whatever the default route is."""

from __future__ import annotations

import asyncio
import socket

from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world import network

_DISCARD = 9


async def locate(gateway: str) -> Network | None:
    """Where we are: by the default route, unless the configuration names the `gateway`."""
    return await towards(gateway) if gateway else await network.current()


async def towards(host: str) -> Network:
    """Our address on the way to `host`. Raises GatewayError `no-gateway` if there is no way."""
    try:
        loop = asyncio.get_running_loop()
        family, kind, *_, address = (
            await loop.getaddrinfo(host, _DISCARD, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing
            ours = str(probe.getsockname()[0])
    except OSError as error:
        raise GatewayError(
            "no-gateway",
            f"there is no route to the configured gateway {host}: {error.strerror}",
            "fix [router] gateway or description_url in config.toml",
        ) from None
    return await network.named(ours, str(address[0]))
