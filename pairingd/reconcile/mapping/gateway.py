"""What the mapping lane needs of a gateway, and of the journal."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network


class Router(Protocol):
    """world.gateway.router.Router and world.gateway.pinholes.Pinholes implement it."""

    async def probe(self, network: Network) -> None: ...

    async def open(
        self,
        network: Network,
        *,
        internal_port: int,
        external_port: int,
        chosen: bool = False,
        but: Collection[str] = (),
    ) -> Mapping: ...

    async def renew(self, mapping: Mapping, *, exact: bool = False) -> Mapping: ...

    async def check(self, mapping: Mapping) -> Presence: ...

    async def close(self, mapping: Mapping) -> None: ...

    async def sweep(self, network: Network, keep: Collection[int]) -> int: ...


class Journal(Protocol):
    def mappings(self) -> list[Mapping]: ...

    def record(self, mapping: Mapping) -> None: ...

    def erase(self, mapping_id: str) -> None: ...

    def judge(self, network: str, *, honours: bool) -> None: ...
