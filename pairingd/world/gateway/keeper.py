"""Holds a mapping by any protocol: the adapters, and the journal, which is written first."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.adapter import Adapter, Journal
from pairingd.world.gateway.refusals import NO_ANSWER, may_have_made, silently_replaced


def secret() -> str:
    """What identifies a mapping as ours, and PCP's nonce is derived from."""
    return secrets.token_hex(16)


class Keeper:
    """`token` makes the secret that identifies our mappings."""

    def __init__(
        self,
        settings: config.Router,
        journal: Journal,
        adapters: Iterable[Adapter],
        token: Callable[[], str] = secret,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._adapters = {adapter.protocol: adapter for adapter in adapters}
        self._token = token

    async def renew(self, mapping: Mapping, *, exact: bool = False) -> Mapping:
        """The mapping with a new lease; `exact`: at the same external port. Raises GatewayError;
        the journal entry stays either way.
        """
        adapter = self._adapter(mapping)
        renewed = await adapter.renew(mapping, self._settings.lease, record=self._journal.record)
        self._journal.record(renewed)
        if exact and renewed.external_port != mapping.external_port:
            raise silently_replaced(mapping.external_port)
        return renewed

    async def check(self, mapping: Mapping, *, quick: bool = False) -> Presence:
        return await self._adapter(mapping).check(mapping, quick=quick)

    async def close(self, mapping: Mapping) -> None:
        """Remove the mapping, see that it is gone, forget it. Idempotent.

        Only for the network the mapping was made in: the caller compares `mapping.network`.
        Raises GatewayError if it may still be there; the journal entry then stays.
        """
        await self._adapter(mapping).close(mapping)
        self._journal.erase(mapping.id)

    def _adapter(self, mapping: Mapping) -> Adapter:
        """The adapter that made it. Raises GatewayError `router-failed` if there is none."""
        try:
            return self._adapters[mapping.protocol]
        except KeyError:
            raise GatewayError(
                "router-failed",
                f"this pairingd does not support {mapping.protocol}, which made a mapping",
                "start the pairingd that made it, or remove the forward in the router",
            ) from None

    async def _attempt(
        self,
        protocol: str,
        network: Network,
        internal_port: int,
        external_port: int,
        *,
        exact: bool = True,
    ) -> Mapping:
        """Try once to open a mapping; return what was granted, journaled.

        Raises GatewayError; then nothing is left, or the journal has it: the caller asks a silent
        router again.
        """
        adapter = self._adapters[protocol]
        requested = Mapping(
            id=self._token()[:16],
            protocol=protocol,
            network=network.identity,
            gateway=network.gateway,
            external_host="",
            external_port=external_port,
            internal_host=network.client,
            internal_port=internal_port,
            token=self._token(),
        )
        journaled = requested

        def record(mapping: Mapping) -> None:
            nonlocal journaled
            journaled = mapping
            self._journal.record(mapping)

        record(requested)
        try:
            granted = await adapter.open(
                requested, self._settings.lease, exact=exact, record=record
            )
        except GatewayError as refusal:
            if not may_have_made(refusal):
                self._journal.erase(requested.id)
            elif refusal.code not in NO_ANSWER:
                with contextlib.suppress(GatewayError):
                    await self.close(journaled)
            raise
        self._journal.record(granted)
        return granted
