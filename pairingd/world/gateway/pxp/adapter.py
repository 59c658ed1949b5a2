"""What PCP's and NAT-PMP's adapters share: a datagram and its answer, a lease, an epoch.

Neither protocol can read a mapping back.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.machine.clock import awake_or_asleep
from pairingd.world.gateway import refusals
from pairingd.world.gateway.adapter import Record, nobody_records
from pairingd.world.gateway.pxp.datagrams import Datagrams
from pairingd.world.gateway.pxp.epoch import Epochs, Rule


class PxpAdapter(ABC):
    """`clock` is the wall clock, `steady` one that goes on during sleep. It keeps no sockets."""

    protocol: str
    epoch_rule: Rule

    def __init__(
        self,
        datagrams: Datagrams,
        clock: Callable[[], float],
        *,
        steady: Callable[[], float] = awake_or_asleep,
    ) -> None:
        self._datagrams = datagrams
        self._clock = clock
        self._epochs = Epochs(type(self).epoch_rule, steady)

    async def probe(self, network: Network) -> bool:
        if not network.gateway:
            return False
        try:
            return await self._is_spoken(network)
        except GatewayError as error:
            if error.code in {"no-gateway", "router-silent"}:
                return False
            raise

    async def open(
        self,
        requested: Mapping,
        lease: int,
        *,
        exact: bool = True,
        record: Record = nobody_records,  # noqa: ARG002 - `requested` has all that an undo needs
    ) -> Mapping:
        try:
            return await self._map(requested, lease, exact=exact)
        except GatewayError as refusal:
            if refusal.code == "router-failed" and refusal.made is None:
                # Some gateways make what they refuse; of the others nothing is to be undone.
                with contextlib.suppress(GatewayError):
                    await self.close(requested)
                refusals.nothing_made(refusal)
            raise

    async def renew(
        self,
        mapping: Mapping,
        lease: int,
        *,
        record: Record = nobody_records,  # noqa: ARG002 - likewise
    ) -> Mapping:
        return await self._map(mapping, lease, exact=True)

    async def check(
        self,
        mapping: Mapping,
        *,
        quick: bool = False,  # noqa: ARG002 - every check is one request
    ) -> Presence:
        """ABSENT when the lease is over, or the gateway reports something that ended it.

        PRESENT means that neither has happened since this process saw the grant.
        """
        if mapping.granted_until is not None and self._clock() >= mapping.granted_until:
            return Presence.ABSENT
        try:
            return await self._look(mapping)
        except GatewayError as error:
            if error.code == "local-network-denied":
                raise
            return Presence.UNKNOWN

    @abstractmethod
    async def close(self, mapping: Mapping) -> None:
        """As for every Adapter."""

    @abstractmethod
    async def _is_spoken(self, network: Network) -> bool:
        """Whether the gateway knows this version of the protocol."""

    @abstractmethod
    async def _look(self, mapping: Mapping) -> Presence:
        """ABSENT when a new epoch has begun."""

    @abstractmethod
    async def _map(self, requested: Mapping, lease: int, *, exact: bool) -> Mapping:
        """What the gateway grants, which may be another external port."""
