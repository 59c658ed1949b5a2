"""Mappings by PCP (RFC 6887): IPv4 port forwards, and pinholes if the addresses are IPv6."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from ipaddress import ip_address

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.machine.clock import awake_or_asleep
from pairingd.world.gateway import grant, refusals
from pairingd.world.gateway.adapter import Record, Tools, nobody_records
from pairingd.world.gateway.pxp import pcp_codec
from pairingd.world.gateway.pxp.adapter import PxpAdapter
from pairingd.world.gateway.pxp.codec import Address
from pairingd.world.gateway.pxp.datagrams import BRIEF, Datagrams
from pairingd.world.gateway.pxp.pcp_codec import AnnounceRequest, MapRequest, MapResponse, Result


class PcpAdapter(PxpAdapter):
    """`uniform` spreads the renewals, RFC 6887 §11.2.1."""

    protocol = "pcp"
    epoch_rule = staticmethod(pcp_codec.epoch_is_continuous)

    def __init__(
        self,
        datagrams: Datagrams,
        clock: Callable[[], float],
        *,
        steady: Callable[[], float] = awake_or_asleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(datagrams, clock, steady=steady)
        self._uniform = uniform

    async def _is_spoken(self, network: Network) -> bool:
        request = AnnounceRequest(ip_address(network.client))
        answer = await self._datagrams.exchange(
            network.gateway, network.address, request.encode(), request.decode, BRIEF
        )
        return answer.result != Result.UNSUPP_VERSION

    async def _look(self, mapping: Mapping) -> Presence:
        request = AnnounceRequest(ip_address(mapping.internal_host))
        answer = await self._datagrams.exchange(
            mapping.gateway, mapping.source, request.encode(), request.decode
        )
        if answer.result == Result.UNSUPP_VERSION:
            return Presence.UNKNOWN
        return self._epochs.presence(mapping.id, answer.epoch)

    async def close(self, mapping: Mapping) -> None:
        answer = await self._send(_request(mapping, lifetime=0), mapping)
        # RFC 6887 §15.1 requires SUCCESS if there is none; miniupnpd 2.3.1 answers NO_RESOURCES.
        if answer.result not in {Result.SUCCESS, Result.NO_RESOURCES}:
            raise _refusal(answer.result, mapping.external_port)
        if answer.result == Result.SUCCESS and answer.lifetime:
            raise refusals.still_there(mapping.external_port)
        self._epochs.forget(mapping.id)

    async def _map(self, requested: Mapping, lease: int, *, exact: bool) -> Mapping:
        asked_at = self._clock()
        request = _request(requested, lease)
        answer = await self._send(replace(request, prefer_failure=exact), requested)
        if answer.result == Result.UNSUPP_OPTION:
            answer = await self._send(request, requested)
        if answer.result != Result.SUCCESS:
            raise _refusal(answer.result, requested.external_port)
        lifetime = grant.believed(answer.lifetime)
        self._epochs.granted(requested.id, answer.epoch)
        renewal = pcp_codec.renewal_delay(lifetime, self._uniform)
        made = replace(requested, handle=(("nonce", request.nonce.hex()),))
        endpoint = str(answer.external_address), answer.external_port
        return grant.granted(made, endpoint, lifetime, asked_at, renewal)

    async def _send(self, request: MapRequest, mapping: Mapping) -> MapResponse:
        return await self._datagrams.exchange(
            mapping.gateway, mapping.source, request.encode(), request.decode
        )


class PcpPinholes(PcpAdapter):
    """RFC 6887 MAP with IPv6 addresses, which then translates nothing."""

    async def renew(
        self, mapping: Mapping, lease: int, *, record: Record = nobody_records
    ) -> Mapping:
        """Close and open it again: miniupnpd 2.3.1 never deletes a renewed pinhole (measured).

        Established connections are not disturbed; new ones meet a closed firewall in between.
        """
        await self.close(mapping)
        return await super().renew(mapping, lease, record=record)


def adapter(tools: Tools) -> PcpAdapter:
    return PcpAdapter(tools.datagrams, tools.clock)


def pinhole_adapter(tools: Tools) -> PcpPinholes:
    return PcpPinholes(tools.datagrams, tools.clock)


def _request(mapping: Mapping, lifetime: int) -> MapRequest:
    client = ip_address(mapping.internal_host)
    # RFC 6887 §15.1 (erratum 3621): a deletion has no suggestion.
    return MapRequest(
        client=client,
        nonce=_nonce(mapping),
        internal_port=mapping.internal_port,
        external_port=mapping.external_port if lifetime else 0,
        external_address=_suggested(mapping, client) if lifetime else type(client)(0),
        lifetime=lifetime,
    )


def _suggested(mapping: Mapping, client: Address) -> Address:
    """The address granted before, so that a renewal keeps it."""
    if mapping.external_host:
        granted = ip_address(mapping.external_host)
        if granted.version == client.version:
            return granted
    return type(client)(0)


def _nonce(mapping: Mapping) -> bytes:
    """The mapping's own nonce, RFC 6887 §11.2.

    Derived from what the journal has before the gateway is asked, so a crash in between cannot
    lose it. `token` is secret and random, so the nonce cannot be guessed.
    """
    handle = dict(mapping.handle)
    if "nonce" in handle:
        return bytes.fromhex(handle["nonce"])
    secret = f"pcp/{mapping.id}/{mapping.token}".encode()
    return hashlib.sha256(secret).digest()[: pcp_codec.NONCE_SIZE]


def _refusal(result: int, port: int) -> GatewayError:
    named = f"PCP {Result(result).name}" if result in set(Result) else f"PCP result {result}"
    match result:
        case Result.UNSUPP_VERSION:
            return refusals.not_spoken("PCP")
        case Result.NOT_AUTHORIZED:
            return refusals.not_permitted(port, named)
        case Result.NO_RESOURCES | Result.CANNOT_PROVIDE_EXTERNAL:
            return refusals.port_taken(port, named)
        case Result.ADDRESS_MISMATCH:
            return refusals.failed(port, f"{named}: another router stands in between")
        case _:
            return refusals.failed(port, named)
