"""What every gateway protocol must be able to do. One adapter a protocol; none knows another.

To add a protocol: docs/adding.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pairingd import config, gateways
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.world.gateway.pxp.datagrams import Datagrams


class Journal(Protocol):
    """The durable record of mappings. Both calls have reached the disk when they return."""

    def record(self, mapping: Mapping) -> None: ...

    def erase(self, mapping_id: str) -> None: ...


class Tools(NamedTuple):
    """What adapters are made with. `clock` is the wall clock."""

    settings: config.Router
    clock: Callable[[], float]
    datagrams: Datagrams


class Adapter(Protocol):
    """One protocol's way to a mapping. All calls end within seconds, by GatewayError if need be.

    `open` is given a journaled mapping that says what is wanted and returns what was granted
    (`external_host`, `external_port`, `handle`, `granted_until`, `renew_at`); it never overwrites
    a mapping that is not ours. Refusing with a code of refusals.NOTHING_MADE it promises that
    nothing was left on the gateway; with any other code something may be.
    `close` returns only once the mapping is seen to be gone. `check` raises `local-network-denied`
    alone; other failures are UNKNOWN.
    """

    protocol: str

    async def probe(self, network: Network) -> bool:
        """Whether a gateway answers to this protocol."""
        ...

    async def open(self, wanted: Mapping, lease: int) -> Mapping: ...

    async def renew(self, mapping: Mapping, lease: int) -> Mapping: ...

    async def check(self, mapping: Mapping) -> Presence: ...

    async def close(self, mapping: Mapping) -> None: ...


@runtime_checkable
class Sweeper(Protocol):
    """An Adapter that can read the gateway's whole table, and so find what no journal knows."""

    async def sweep(self, network: Network, keep: Collection[int]) -> int:
        """Remove what earlier daemons left here, but for the external ports in `keep`."""
        ...


@runtime_checkable
class Searcher(Protocol):
    """An Adapter that searches the network for its gateway, or takes another search's result."""

    async def told(self, network: Network, locations: Sequence[str]) -> None:
        """Somebody has heard of these in our place. Raises GatewayError; then nothing changed."""
        ...


def mapping_adapters(tools: Tools) -> list[Adapter]:
    """All that `tools.settings` could have us speak to a gateway, whether they do or not."""
    made = (_module(protocol).adapter(tools) for protocol in gateways.PROTOCOLS)
    return [adapter for adapter in made if adapter is not None]


def pinhole_adapters(tools: Tools) -> list[Adapter]:
    """All that can open an IPv6 firewall."""
    return [
        _module(protocol).pinhole_adapter(tools) for protocol in gateways.PROTOCOLS if protocol.ipv6
    ]


def _module(protocol: gateways.Protocol) -> Any:
    return importlib.import_module(f"{__package__}.{protocol.module}")
