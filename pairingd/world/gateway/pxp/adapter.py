"""What PCP's and NAT-PMP's adapters share: a datagram and its answer, a lease, an epoch.

Neither protocol can read a mapping back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from pairingd.clock import awake_or_asleep
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world.gateway import refusals
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

    async def open(self, wanted: Mapping, lease: int) -> Mapping:
        """`port-taken` and `not-permitted` leave nothing behind on the gateway."""
        return await self._map(wanted, lease)

    async def renew(self, mapping: Mapping, lease: int) -> Mapping:
        return await self._map(mapping, lease)

    async def check(self, mapping: Mapping) -> Presence:
        """ABSENT when the lease is over, or the gateway reports something that ended it.

        PRESENT means that nothing of this has happened since this process saw the grant.
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
        """As of every Adapter."""

    async def _give_back(self, wanted: Mapping, offered: int) -> GatewayError:
        """What another port than the wanted one comes to, once it is closed.

        Raises GatewayError where it is not, with a code that promises nothing.
        """
        try:
            await self.close(wanted)
        except GatewayError as error:
            if error.code not in refusals.NOTHING_MADE:
                raise
            raise refusals.still_there(offered) from None
        return refusals.port_taken(wanted.external_port, f"it offers {offered}")

    @abstractmethod
    async def _is_spoken(self, network: Network) -> bool:
        """Whether the gateway knows this version of the protocol."""

    @abstractmethod
    async def _look(self, mapping: Mapping) -> Presence:
        """ABSENT when a new epoch has begun."""

    @abstractmethod
    async def _map(self, wanted: Mapping, lease: int) -> Mapping:
        """What the gateway grants of what is `wanted`; another external port is given back."""
