"""Pinholes in the router's IPv6 firewall, by the first protocol that the router speaks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway import refusals
from pairingd.world.gateway.adapter import Adapter, Journal, Tools, pinhole_adapters
from pairingd.world.gateway.keeper import Keeper
from pairingd.world.gateway.pxp.datagrams import Datagrams


class Pinholes(Keeper):
    """`clock` is the wall clock."""

    def __init__(
        self,
        settings: config.Router,
        journal: Journal,
        clock: Callable[[], float],
        *,
        adapters: Sequence[Adapter] | None = None,
    ) -> None:
        tools = Tools(settings, clock, Datagrams())
        known = pinhole_adapters(tools) if adapters is None else adapters
        super().__init__(settings, journal, known)

    async def probe(self, network: Network) -> None:
        """Does nothing: `open` asks the router itself."""

    async def open(
        self,
        network: Network,
        *,
        internal_port: int,
        external_port: int,
        chosen: bool = False,  # noqa: ARG002 - it is the door's own
        but: Collection[str] = (),
    ) -> Mapping:
        """By the first protocol, except those in `but`, that the router speaks and does not refuse.
        Raises GatewayError with the most telling refusal; then nothing is left, or the journal has
        it.
        """
        refused: list[GatewayError] = []
        for protocol in self._settings.protocols:
            adapter = self._adapters.get(protocol)
            # Most routers speak neither over IPv6: nothing is journaled for those.
            if not adapter or protocol in but or not await adapter.probe(network):
                continue
            try:
                opened = await self._attempt(protocol, network, internal_port, external_port)
            except GatewayError as refusal:
                if refusal.code in refusals.NO_ANSWER:
                    raise
                refused.append(refusal)
                continue
            if opened.external_port == external_port:
                return opened
            await self.close(opened)
            refused.append(refusals.silently_replaced(external_port))
        if not refused:
            raise refusals.not_spoken("PCP or UPnP over IPv6")
        raise refusals.most_telling(refused)

    async def sweep(self, network: Network, keep: Collection[int]) -> int:  # noqa: ARG002 - a firewall lists no rules
        return 0
