"""What every gateway protocol must be able to do. One adapter per protocol; none knows another.

To add a protocol: docs/adding.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pairingd import gateways
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.home import config
from pairingd.world.gateway.pxp.datagrams import Datagrams


class Journal(Protocol):
    """The durable record of mappings. All calls have reached the disk when they return."""

    def record(self, mapping: Mapping) -> None: ...

    def erase(self, mapping_id: str) -> None: ...


class Verdicts(Journal, Protocol):
    """Also records, by a network's identity, whether the router honours internal ports."""

    def honours(self, network: str) -> bool | None:
        """None: not known yet. False stays."""
        ...

    def judge(self, network: str, *, honours: bool) -> None: ...


# Journals a mapping as it is now, before more is requested.
Record = Callable[[Mapping], None]

# The MAC address of a neighbour, by its address and our interface; "" if unknown.
MacOf = Callable[[str, str], Awaitable[str]]


def nobody_records(_mapping: Mapping) -> None:
    pass


async def unknown_mac(_address: str, _interface: str) -> str:
    return ""


class Tools(NamedTuple):
    """What adapters are made with. `clock` is the wall clock."""

    settings: config.Router
    clock: Callable[[], float]
    datagrams: Datagrams
    mac_of: MacOf = unknown_mac


class Adapter(Protocol):
    """One protocol that can make mappings. Every call ends within a minute, also by GatewayError.

    `open` takes a journaled mapping that says what is requested and returns what was granted
    (`external_host`, `external_port`, `handle`, `granted_until`, `renew_at`); it never overwrites
    a mapping that is not ours. The gateway may assign another external port; with `exact` the
    adapter asks it to refuse instead. What an undo must know goes to `record` before the request.
    refusals.may_have_made says of an error whether something may be left on the gateway.
    `close` returns only once the mapping is seen to be gone. `check` raises only
    `local-network-denied`; other failures are UNKNOWN. A `quick` check sends the fewest packets
    that show whether the mapping is there.
    """

    protocol: str

    async def probe(self, network: Network) -> bool:
        """Whether a gateway answers to this protocol."""
        ...

    async def open(
        self, requested: Mapping, lease: int, *, exact: bool = True, record: Record = nobody_records
    ) -> Mapping: ...

    async def renew(
        self, mapping: Mapping, lease: int, *, record: Record = nobody_records
    ) -> Mapping: ...

    async def check(self, mapping: Mapping, *, quick: bool = False) -> Presence: ...

    async def close(self, mapping: Mapping) -> None: ...


@runtime_checkable
class Sweeper(Protocol):
    """An Adapter that can read the gateway's whole table, and so find what no journal has."""

    async def sweep(self, network: Network, keep: Collection[int]) -> int:
        """Remove what earlier daemons left here, except the external ports in `keep`."""
        ...


@runtime_checkable
class Searcher(Protocol):
    """An Adapter that searches the network for its gateway, or takes another search's result."""

    async def learn(self, network: Network, locations: Sequence[str]) -> None:
        """Use what another search found. Raises GatewayError; then nothing changed."""
        ...


def mapping_adapters(tools: Tools) -> list[Adapter]:
    """Adapters of all protocols that `tools.settings` could enable, enabled or not."""
    made = (_module(protocol).adapter(tools) for protocol in gateways.PROTOCOLS)
    return [adapter for adapter in made if adapter is not None]


def pinhole_adapters(tools: Tools) -> list[Adapter]:
    """All that can open an IPv6 firewall."""
    return [
        _module(protocol).pinhole_adapter(tools) for protocol in gateways.PROTOCOLS if protocol.ipv6
    ]


def _module(protocol: gateways.Protocol) -> Any:
    return importlib.import_module(f"{__package__}.{protocol.module}")
