"""The daemon's parts, as the verbs use them; `assembly` connects them."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from pairingd.home.config import Settings
from pairingd.machine.clock import Clock
from pairingd.protocol import results
from pairingd.reconcile.access.lane import AccessLane
from pairingd.reconcile.arrivals import Arrivals
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.dial import DialLane
from pairingd.reconcile.hole import HoleLane
from pairingd.reconcile.hostname import HostnameLane
from pairingd.reconcile.lane import Lane
from pairingd.reconcile.lookout import Lookout
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.reconcile.relay import RelayLane
from pairingd.reconcile.witness import Witness
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.door import Door
from pairingd.world.gateway.router import Router
from pairingd.world.identity import IdentityProviders
from pairingd.world.sshd import Sshds
from pairingd.world.tmux import Tmux

Notify = Callable[[results.Progress], None]  # reports a request's progress to the client


class Parts(Struct, frozen=True):
    settings: Settings
    store: Store
    intent: Intent
    providers: IdentityProviders
    sshd: Sshds
    tmux: Tmux
    door: Door
    access: AccessLane
    router: Router
    mapping: MappingLane
    second: MappingLane  # on a router in front of the first
    pinhole: MappingLane
    relay: RelayLane
    hole: HoleLane
    hostname: HostnameLane
    dial: DialLane
    lookout: Lookout
    arrivals: Arrivals
    witness: Witness
    witness6: Witness
    aside: Aside
    clock: Clock
    started_at: float
    request_stop: Callable[[], None]

    @property
    def lanes(self) -> tuple[Lane, ...]:
        routers = self.mapping, self.second, self.pinhole
        others = self.relay, self.hole, self.hostname, self.dial, self.lookout
        return self.access, *routers, *others
