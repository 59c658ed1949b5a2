"""Creates the lanes for endpoints beyond a router's port: hole, hostname and dial."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pairingd.home import config
from pairingd.reconcile.dial import DialLane
from pairingd.reconcile.hole import HoleLane
from pairingd.reconcile.hostname import HostnameLane
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.reconcile.outside import Outside
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.world import resolver
from pairingd.world.door import Door
from pairingd.world.outgoing.hole import Hole


def further_lanes(
    chosen: config.Config,
    intent: Intent,
    mapping: MappingLane,
    second: MappingLane,
    door: Door,
    own: Callable[[], str],
    clock: Callable[[], float],
    signals: Signals,
) -> tuple[HoleLane, HostnameLane, DialLane]:
    """`own` is this machine's address for guests nearby."""
    router, server = chosen.router, chosen.cgnat.stun
    outside = Outside(router, intent, mapping, second, lambda: door.port, own)
    make_hole = partial(_hole, chosen.cgnat)
    hole = HoleLane(
        intent, outside.forwarded, make_hole, server, router.hostname, own, clock, signals
    )
    hostname = HostnameLane(
        intent,
        router.hostname,
        lambda: outside.public(hole.endpoint),
        resolver.resolve,
        partial(resolver.update, router.update) if router.update else None,
        clock,
        signals,
    )
    dial = DialLane(intent, door, outside.towards, make_hole, server, clock, signals)
    for changed in (mapping.changed, second.changed):
        for lane in (hole, hostname, dial):
            changed.connect(lane.poke)
    return hole, hostname, dial


def _hole(cgnat: config.Cgnat, port: int, changed: Callable[[], None]) -> Hole | None:
    return Hole(cgnat.server, port, changed) if cgnat.stun else None
