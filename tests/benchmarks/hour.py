"""How often a gateway is asked while it holds a mapping and a guest is in: the real lane, one hour of a fake clock."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.plan import LONGEST_SLEEP_S
from pairingd.core.records import replace
from pairingd.home import config
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.gateway.router import Router
from tests.core.make import START, invitation, invite

HOUR = 3600
LEASE = 600  # seconds, the default of [router] lease
DOOR = 50000
HOME = Network("eth0", "192.168.77.10", "192.168.77.1", "02:00:00:00:00:01")


class _Counting(Router):
    """A router that grants and confirms everything, and counts what it is asked."""

    def __init__(self, store: Store, protocol: str) -> None:
        super().__init__(config.Router(), store, lambda: self.now, adapters=())
        self.asked: Counter[str] = Counter()
        self.now = float(START)
        self._store, self._protocol = store, protocol

    async def probe(self, _network: Network) -> None:
        pass

    async def open(
        self,
        network: Network,
        *,
        internal_port: int,
        external_port: int,
        chosen: bool = False,
        but: Collection[str] = (),
    ) -> Mapping:
        return self._grant(
            Mapping(
                id="m1",
                protocol=self._protocol,
                network=network.identity,
                gateway=network.gateway,
                external_host="5.5.5.1",
                external_port=external_port,
                internal_host=network.address,
                internal_port=internal_port,
                token="token",
            )
        )

    async def renew(self, mapping: Mapping, *, exact: bool = False) -> Mapping:
        self.asked["renew"] += 1
        return self._grant(mapping)

    async def check(self, _mapping: Mapping, *, quick: bool = False) -> Presence:
        self.asked["quick" if quick else "check"] += 1
        return Presence.PRESENT

    async def close(self, mapping: Mapping) -> None:
        self._store.erase(mapping.id)

    async def sweep(self, _network: Network, _keep: Collection[int]) -> int:
        return 0  # once in each network, so no part of an hour's cost

    def _grant(self, mapping: Mapping) -> Mapping:
        granted = replace(mapping, granted_until=self.now + LEASE, renew_at=self.now + LEASE / 2)
        self._store.record(granted)
        return granted


def asked_in_an_hour(protocol: str) -> Counter[str]:
    """How many times `check`, `quick` check and `renew`, from the mapping's first second."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(_an_hour(Store.open(Path(directory) / "state.db", START), protocol))


async def _an_hour(store: Store, protocol: str) -> Counter[str]:
    router = _Counting(store, protocol)
    signals = Signals()
    intent = Intent(store, lambda: router.now, signals)
    intent.apply(invite(invitation(ttl=2 * HOUR)))

    async def here() -> Network:
        return HOME

    lane = MappingLane(
        *(intent, store, router, here, lambda: DOOR, lambda: router.now, signals),
        occupied=lambda: True,
    )
    await lane.one_pass()
    signals.guest_came("5.5.9.2")
    while router.now < START + HOUR:
        deadline = await lane.one_pass()
        assert deadline is not None
        router.now = min(deadline, router.now + LONGEST_SLEEP_S)
    store.close()
    return router.asked
