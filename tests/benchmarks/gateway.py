"""A mapping's cost at a real miniupnpd: time and packets of finding, making, checking, renewing.

In its own process this is what runs on the host of the test network: `_main` prints what it
measured, by protocol and deed, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import median
from typing import Any

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.home import config
from pairingd.world import network as here
from pairingd.world.gateway.router import Router
from tests.benchmarks.figure import Figure
from tests.benchmarks.hour import asked_in_an_hour
from tests.e2e import network as e2e

ROUNDS = 5
PROTOCOLS = ("pcp", "natpmp", "upnp")
NAMES = {"pcp": "PCP", "natpmp": "NAT-PMP", "upnp": "UPnP"}
MOST_HOURLY = {"pcp": 100, "natpmp": 100, "upnp": 1000}
DEEDS = {
    "cold": "discovery to mapping, cold",
    "warm": "mapping, gateway known",
    "renew": "renewal",
    "check": "check that it is there",
    "quick": "the same, guest in",
}
DOOR = 50000
_COUNTERS = Path("/proc/net/dev")  # proc(5): of this process's network namespace

Samples = dict[str, dict[str, list[tuple[float, int]]]]


def measure(network: e2e.Network) -> list[Figure]:
    said = network.host.run("python", "-m", "tests.benchmarks.gateway", within=90).stdout
    samples: Samples = json.loads(said)
    figures = [
        Figure(
            f"{NAMES[protocol]}: {about}",
            median(seconds for seconds, _ in samples[protocol][deed]) * 1000,
            "ms",
            f"{_packets(samples, protocol, deed):.0f} packets",
        )
        for deed, about in DEEDS.items()
        for protocol in PROTOCOLS
    ]
    for protocol in PROTOCOLS:
        asked = asked_in_an_hour(protocol)
        hourly = sum(count * _packets(samples, protocol, deed) for deed, count in asked.items())
        how = f"{asked['check'] + asked['quick']} checks, {asked['renew']} renewals"
        what = f"{NAMES[protocol]}: packets an hour, guest in"
        figures.append(Figure(what, hourly, "", how, most=MOST_HOURLY[protocol]))
    return figures


def _packets(samples: Samples, protocol: str, deed: str) -> float:
    return median(packets for _, packets in samples[protocol][deed])


class _Journal:
    """Nothing here outlives the network it runs in."""

    def record(self, mapping: Mapping) -> None:
        pass

    def erase(self, mapping_id: str) -> None:
        pass

    def honours(self, network: str) -> bool | None:
        return True

    def judge(self, network: str, *, honours: bool) -> None:
        pass


async def _samples(where: Network, protocol: str) -> dict[str, list[tuple[float, int]]]:
    found: dict[str, list[tuple[float, int]]] = {deed: [] for deed in DEEDS}
    settings = config.Router(protocols=(protocol,))
    for _ in range(ROUNDS):
        router = Router(settings, _Journal(), time.time)
        for deed in ("cold", "warm"):
            opening = router.open(where, internal_port=DOOR, external_port=22)
            made = await _counted(found[deed], opening)
            if deed == "cold":
                await router.close(made)
        made = await _counted(found["renew"], router.renew(made))
        for deed, quick in (("check", False), ("quick", True)):
            assert await _counted(found[deed], router.check(made, quick=quick)) is Presence.PRESENT
        await router.close(made)
    return found


async def _counted(samples: list[tuple[float, int]], deed: Awaitable[Any]) -> Any:
    """Its result; its seconds, and the packets both ways that it took, are added to `samples`."""
    await asyncio.sleep(0.05)  # the last packets of what came before
    packets, began = _both_ways(), time.perf_counter()
    result = await deed
    taken = time.perf_counter() - began
    await asyncio.sleep(0.05)
    samples.append((taken, _both_ways() - packets))
    return result


def _both_ways() -> int:
    lines = _COUNTERS.read_text().splitlines()
    counts = next(
        line.partition(":")[2].split() for line in lines if line.strip().startswith("eth0:")
    )
    return int(counts[1]) + int(counts[9])


async def _all() -> Samples:
    where = await here.current()
    assert where is not None
    return {protocol: await _samples(where, protocol) for protocol in PROTOCOLS}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_all())))
