"""Searches for the home router in a process of the user's terminal, in place of the daemon.

macOS 15 and later may deny the local network to programs started at login, but not to those started
in Terminal, and their children (Apple TN3179). `python -m pairingd.discovery` prints one JSON
object: `description_urls`, the likeliest first, or `error` as in `pairctl --json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pairingd.errors import GatewayError, PairingError
from pairingd.home import config
from pairingd.home.paths import find_paths
from pairingd.machine import lan
from pairingd.process import event_loop
from pairingd.replies import report
from pairingd.world.gateway.upnp import ssdp
from pairingd.world.network.towards import locate


def main() -> int:
    """Return 0, also if there is no router: the output says so."""
    try:
        settings = config.load(Path(find_paths().config))
        answer = {"description_urls": event_loop.run(search(settings.config.router))}
    except PairingError as error:
        print(json.dumps({"error": report.problem(error)}))
    else:
        print(json.dumps(answer))
    return 0


async def search(
    router: config.Router,
    *,
    port: int = ssdp.PORT,
    schedule: ssdp.Schedule = ssdp.SCHEDULE,
    platform: str = sys.platform,
) -> list[str]:
    """Return the description URLs of this network's gateways. The keyword arguments are for tests.

    Raises GatewayError `no-gateway` or `local-network-denied`.
    """
    network = await locate(router.gateway or config.host_of(router.description_url))
    if network is None or not network.gateway:
        raise _no_gateway("this network has no home router to ask")
    locations, error = await ssdp.search(network.address, network.gateway, port, schedule=schedule)
    if locations:
        return locations
    if lan.is_denied(error, platform):
        raise GatewayError(
            "local-network-denied",
            "macOS does not let this terminal search the local network either",
            "try it in macOS's own Terminal",
        )
    raise _no_gateway("no router answered this terminal's search either")


def _no_gateway(cause: str) -> GatewayError:
    return GatewayError(
        "no-gateway", cause, "switch UPnP on in the router, or set [router] description_url"
    )


if __name__ == "__main__":
    sys.exit(main())
