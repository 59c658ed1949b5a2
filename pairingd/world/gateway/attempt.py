"""Journal before act: one try at a mapping. What it leaves behind, the journal knows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world.gateway.adapter import Adapter, Journal
from pairingd.world.gateway.refusals import NO_ANSWER, NOTHING_MADE


async def attempt(
    adapter: Adapter,
    journal: Journal,
    token: Callable[[], str],
    network: Network,
    *,
    internal_port: int,
    external_port: int,
    lease: int,
) -> Mapping:
    """What was granted, journaled. Raises GatewayError; then nothing is left, or the journal has
    it: a router that fell silent is asked again by the caller.
    """
    wanted = Mapping(
        id=token()[:16],
        protocol=adapter.protocol,
        network=network.identity,
        gateway=network.gateway,
        external_host="",
        external_port=external_port,
        internal_host=network.address,
        internal_port=internal_port,
        token=token(),
    )
    journal.record(wanted)
    try:
        granted = await adapter.open(wanted, lease)
    except GatewayError as refusal:
        if refusal.code in NOTHING_MADE:
            journal.erase(wanted.id)
        elif refusal.code not in NO_ANSWER:
            with contextlib.suppress(GatewayError):
                await adapter.close(wanted)
                journal.erase(wanted.id)
        raise
    journal.record(granted)
    return granted
