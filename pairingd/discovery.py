"""The search for the home router, made in the daemon's place by a process of the user's terminal.

macOS 15 and later may refuse the local network to what was started at login, but not to what was
started in Terminal, and its children (Apple TN3179). `python -m pairingd.discovery` prints one
JSON object: `description_urls`, the likeliest first, or `error` as `pairctl --json` has it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from pairingd import config, lan, report
from pairingd.errors import GatewayError, PairingError
from pairingd.paths import find_paths
from pairingd.world.gateway.upnp import ssdp
from pairingd.world.network.towards import locate


def main() -> int:
    """0 also where there is no router: that is an answer."""
    try:
        settings = config.load(Path(find_paths().config))
        answer = {"description_urls": asyncio.run(search(settings.config.router))}
    except PairingError as error:
        print(json.dumps({"error": report.problem(error)}))
    else:
        print(json.dumps(answer))
    return 0


async def search(
    wanted: config.Router,
    *,
    port: int = ssdp.PORT,
    schedule: ssdp.Schedule = ssdp.SCHEDULE,
    platform: str = sys.platform,
) -> list[str]:
    """Where gateways of this network describe themselves. The keyword arguments are for tests.

    Raises GatewayError `no-gateway` or `local-network-denied`.
    """
    where = await locate(wanted.gateway or config.host_of(wanted.description_url))
    if where is None or not where.gateway:
        raise _nothing("this network has no home router to ask")
    locations, error = await ssdp.search(where.address, where.gateway, port, schedule=schedule)
    if locations:
        return locations
    if lan.is_denied(error, platform):
        raise GatewayError(
            "local-network-denied",
            "macOS does not let this terminal search the local network either",
            "try it in macOS's own Terminal",
        )
    raise _nothing("no router answered this terminal's search either")


def _nothing(why: str) -> GatewayError:
    return GatewayError(
        "no-gateway", why, "switch UPnP on in the router, or set [router] description_url"
    )


if __name__ == "__main__":
    sys.exit(main())
