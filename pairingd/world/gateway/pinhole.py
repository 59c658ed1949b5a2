"""Pinholes in the router's IPv6 firewall, by PCP: RFC 6887 MAP where the addresses are IPv6."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

from pairingd.core.model import Mapping
from pairingd.world.gateway import grant
from pairingd.world.gateway.adapter import Adapter, Journal, Network, Presence
from pairingd.world.gateway.attempt import attempt


class Pinholes:
    """`token` makes the secret that PCP's nonce comes of."""

    def __init__(
        self,
        adapter: Adapter,
        lease: int,
        journal: Journal,
        *,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._adapter = adapter
        self._lease = lease
        self._journal = journal
        self._token = token

    async def probe(self, network: Network) -> None:
        """Nothing to find out: `open` asks at once."""

    async def open(self, network: Network, *, internal_port: int, external_port: int) -> Mapping:
        """Raises GatewayError; then nothing is left, or the journal has it."""
        # Most routers do not speak PCP over IPv6: nothing is journaled for those.
        if not await self._adapter.probe(network):
            raise grant.not_spoken("PCP over IPv6")
        return await attempt(
            self._adapter,
            self._journal,
            self._token,
            network,
            internal_port=internal_port,
            external_port=external_port,
            lease=self._lease,
        )

    async def renew(self, mapping: Mapping) -> Mapping:
        """Not by renewing: miniupnpd 2.3.1 never again deletes a pinhole that was (measured).

        Connections that stand are not disturbed; new ones meet a shut firewall for a moment.
        """
        await self._adapter.close(mapping)
        renewed = await self._adapter.renew(mapping, self._lease)
        self._journal.record(renewed)
        return renewed

    async def check(self, mapping: Mapping) -> Presence:
        return await self._adapter.check(mapping)

    async def sweep(self, network: Network, keep: Collection[int]) -> int:  # noqa: ARG002 - a firewall tells no rules
        return 0

    async def close(self, mapping: Mapping) -> None:
        await self._adapter.close(mapping)
        self._journal.erase(mapping.id)
