"""Mappings by NAT-PMP (RFC 6886)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pairingd.clock import awake_or_asleep
from pairingd.core.model import Mapping
from pairingd.errors import GatewayError
from pairingd.world.gateway import grant, natpmp
from pairingd.world.gateway.adapter import Network, Presence
from pairingd.world.gateway.datagram import BRIEF, Datagrams
from pairingd.world.gateway.epoch import Epochs
from pairingd.world.gateway.natpmp import AddressRequest, AddressResponse, MapRequest, Result


class NatPmpAdapter:
    """`clock` is the wall clock, `steady` one that goes on during sleep. It keeps no sockets."""

    protocol = "natpmp"

    def __init__(
        self,
        datagrams: Datagrams,
        clock: Callable[[], float],
        *,
        steady: Callable[[], float] = awake_or_asleep,
    ) -> None:
        self._datagrams = datagrams
        self._clock = clock
        self._epochs = Epochs(natpmp.epoch_is_continuous, steady)

    async def probe(self, network: Network) -> bool:
        if not network.gateway:
            return False
        request = AddressRequest()
        try:
            answer = await self._datagrams.exchange(
                network.gateway, network.address, request.encode(), request.decode, BRIEF
            )
        except GatewayError as error:
            if error.code in {"no-gateway", "router-silent"}:
                return False
            raise
        return answer.result != Result.UNSUPPORTED_VERSION

    async def open(self, network: Network, wanted: Mapping, lease: int) -> Mapping:
        """`port-taken` and `not-permitted` leave nothing behind on the gateway."""
        return await self._map(replace(wanted, gateway=network.gateway), lease)

    async def renew(self, mapping: Mapping, lease: int) -> Mapping:
        return await self._map(mapping, lease)

    async def check(self, mapping: Mapping) -> Presence:
        """ABSENT when the lease is over, a new epoch has begun or the external address is another.

        The protocol cannot read a mapping back: PRESENT means that nothing of this has happened
        since this process saw the grant.
        """
        if mapping.granted_until is not None and self._clock() >= mapping.granted_until:
            return Presence.ABSENT
        try:
            answer = await self._ask_address(mapping)
        except GatewayError as error:
            if error.code == "local-network-denied":
                raise
            return Presence.UNKNOWN
        presence = self._epochs.presence(mapping.id, answer.epoch)
        known = mapping.external_host and answer.result == Result.SUCCESS
        moved = known and str(answer.address) != mapping.external_host
        return Presence.ABSENT if moved else presence

    async def close(self, mapping: Mapping) -> None:
        # RFC 6886 §3.4: deletion names the internal port only, and succeeds where there is none.
        request = MapRequest(mapping.internal_port, 0, 0)
        answer = await self._datagrams.exchange(
            mapping.gateway, mapping.internal_host, request.encode(), request.decode
        )
        if answer.result != Result.SUCCESS:
            raise _refusal(answer.result, mapping.external_port)
        if answer.lifetime:
            raise grant.still_there(mapping.external_port)
        self._epochs.forget(mapping.id)

    async def _map(self, wanted: Mapping, lease: int) -> Mapping:
        outside = await self._ask_address(wanted)
        if outside.result != Result.SUCCESS:
            raise _refusal(outside.result, wanted.external_port)
        asked_at = self._clock()
        request = MapRequest(wanted.internal_port, wanted.external_port, lease)
        answer = await self._datagrams.exchange(
            wanted.gateway, wanted.internal_host, request.encode(), request.decode
        )
        if answer.result != Result.SUCCESS:
            raise _refusal(answer.result, wanted.external_port)
        if answer.external_port != wanted.external_port:
            await self.close(wanted)
            raise grant.port_taken(wanted.external_port, f"it offers {answer.external_port}")
        lifetime = grant.believed(answer.lifetime)
        self._epochs.granted(wanted.id, answer.epoch)
        renewal = natpmp.renewal_delay(lifetime)
        return grant.granted(wanted, str(outside.address), lifetime, asked_at, renewal)

    async def _ask_address(self, mapping: Mapping) -> AddressResponse:
        request = AddressRequest()
        return await self._datagrams.exchange(
            mapping.gateway, mapping.internal_host, request.encode(), request.decode
        )


def _refusal(result: int, port: int) -> GatewayError:
    named = f"NAT-PMP result {result}"
    if result in set(Result):
        named = f"NAT-PMP {Result(result).name}"
    match result:
        case Result.UNSUPPORTED_VERSION:
            return grant.not_spoken("NAT-PMP")
        case Result.NOT_AUTHORIZED:
            return grant.not_permitted(port, named)
        case Result.OUT_OF_RESOURCES:
            return grant.port_taken(port, named)
        case _:
            return grant.failed(port, named)
