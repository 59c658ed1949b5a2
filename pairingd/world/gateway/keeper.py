"""What holding a mapping takes, by whatever protocol: the adapters, and the journal before them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pairingd import config
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world.gateway.adapter import Adapter, Journal, Presence
from pairingd.world.gateway.attempt import attempt


class Keeper:
    """`token` makes what tells our mappings from others'."""

    def __init__(
        self,
        settings: config.Router,
        journal: Journal,
        adapters: Iterable[Adapter],
        token: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._adapters = {adapter.protocol: adapter for adapter in adapters}
        self._token = token

    async def renew(self, mapping: Mapping) -> Mapping:
        """The mapping with a new lease. Raises GatewayError; the journal entry stays either way."""
        renewed = await self._adapter(mapping).renew(mapping, self._settings.lease)
        self._journal.record(renewed)
        return renewed

    async def check(self, mapping: Mapping) -> Presence:
        return await self._adapter(mapping).check(mapping)

    async def close(self, mapping: Mapping) -> None:
        """Remove the mapping, see that it is gone, forget it. Idempotent.

        Only for the network the mapping was made in: the caller compares `mapping.network`.
        Raises GatewayError where it may still be there; the journal entry then stays.
        """
        await self._adapter(mapping).close(mapping)
        self._journal.erase(mapping.id)

    def _adapter(self, mapping: Mapping) -> Adapter:
        """The one that made it. Raises GatewayError `router-failed` for none."""
        try:
            return self._adapters[mapping.protocol]
        except KeyError:
            raise GatewayError(
                "router-failed",
                f"this pairingd does not support {mapping.protocol}, which made a mapping",
                "start the pairingd that made it, or remove the forward in the router",
            ) from None

    async def _attempt(
        self, protocol: str, network: Network, internal_port: int, external_port: int
    ) -> Mapping:
        """Raises GatewayError; then nothing is left, or the journal has it."""
        return await attempt(
            self._adapters[protocol],
            self._journal,
            self._token,
            network,
            internal_port=internal_port,
            external_port=external_port,
            lease=self._settings.lease,
        )
