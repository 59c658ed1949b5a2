"""Mappings by NAT-PMP (RFC 6886)."""

from __future__ import annotations

from collections.abc import Callable

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.machine.clock import awake_or_asleep
from pairingd.world.gateway import grant, refusals
from pairingd.world.gateway.adapter import Tools
from pairingd.world.gateway.pxp import natpmp_codec
from pairingd.world.gateway.pxp.adapter import PxpAdapter
from pairingd.world.gateway.pxp.datagrams import BRIEF, Datagrams
from pairingd.world.gateway.pxp.natpmp_codec import (
    AddressRequest,
    AddressResponse,
    MapRequest,
    Result,
)


class NatPmpAdapter(PxpAdapter):
    """The external address is another sign: a mapping made for the old one is useless."""

    protocol = "natpmp"
    epoch_rule = staticmethod(natpmp_codec.epoch_is_continuous)

    def __init__(
        self,
        datagrams: Datagrams,
        clock: Callable[[], float],
        *,
        steady: Callable[[], float] = awake_or_asleep,
    ) -> None:
        super().__init__(datagrams, clock, steady=steady)
        self._holder: dict[tuple[str, int], str] = {}  # ids, by network and internal port

    async def _is_spoken(self, network: Network) -> bool:
        request = AddressRequest()
        answer = await self._datagrams.exchange(
            network.gateway, network.address, request.encode(), request.decode, BRIEF
        )
        return answer.result != Result.UNSUPPORTED_VERSION

    async def _look(self, mapping: Mapping) -> Presence:
        answer = await self._ask_address(mapping)
        presence = self._epochs.presence(mapping.id, answer.epoch)
        known = mapping.external_host and answer.result == Result.SUCCESS
        moved = known and str(answer.address) != mapping.external_host
        return Presence.ABSENT if moved else presence

    async def close(self, mapping: Mapping) -> None:
        # RFC 6886 §3.4: deletion names only the internal port, and succeeds if there is none. So
        # closing what an earlier try left would also close the mapping that came after it.
        port_here = mapping.network, mapping.internal_port
        if self._holder.get(port_here, mapping.id) != mapping.id:
            return
        request = MapRequest(mapping.internal_port, 0, 0)
        answer = await self._datagrams.exchange(
            mapping.gateway, mapping.source, request.encode(), request.decode
        )
        if answer.result != Result.SUCCESS:
            raise _refusal(answer.result, mapping.external_port)
        if answer.lifetime:
            raise refusals.still_there(mapping.external_port)
        self._epochs.forget(mapping.id)
        self._holder.pop(port_here, None)

    async def _map(
        self,
        requested: Mapping,
        lease: int,
        *,
        exact: bool,  # noqa: ARG002 - NAT-PMP has only a suggestion (RFC 6886 §3.3)
    ) -> Mapping:
        external = await self._ask_address(requested)
        if external.result != Result.SUCCESS:
            raise refusals.nothing_made(_refusal(external.result, requested.external_port))
        asked_at = self._clock()
        request = MapRequest(requested.internal_port, requested.external_port, lease)
        answer = await self._datagrams.exchange(
            requested.gateway, requested.source, request.encode(), request.decode
        )
        if answer.result != Result.SUCCESS:
            raise _refusal(answer.result, requested.external_port)
        lifetime = grant.believed(answer.lifetime)
        self._epochs.granted(requested.id, answer.epoch)
        self._holder[requested.network, requested.internal_port] = requested.id
        renewal = natpmp_codec.renewal_delay(lifetime)
        endpoint = str(external.address), answer.external_port
        return grant.granted(requested, endpoint, lifetime, asked_at, renewal)

    async def _ask_address(self, mapping: Mapping) -> AddressResponse:
        request = AddressRequest()
        return await self._datagrams.exchange(
            mapping.gateway, mapping.source, request.encode(), request.decode
        )


def adapter(tools: Tools) -> NatPmpAdapter:
    return NatPmpAdapter(tools.datagrams, tools.clock)


def _refusal(result: int, port: int) -> GatewayError:
    named = f"NAT-PMP result {result}"
    if result in set(Result):
        named = f"NAT-PMP {Result(result).name}"
    match result:
        case Result.UNSUPPORTED_VERSION:
            return refusals.not_spoken("NAT-PMP")
        case Result.NOT_AUTHORIZED:
            return refusals.not_permitted(port, named)
        case Result.OUT_OF_RESOURCES:
            return refusals.port_taken(port, named)
        case _:
            return refusals.failed(port, named)
