"""Creates every part of the daemon and connects them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct

from pairingd import gateways
from pairingd.account.place import Account
from pairingd.box.place import Box, living
from pairingd.box.surroundings import keep_out_of_boxes
from pairingd.core.admission import Admission
from pairingd.core.holding_state import PINHOLE, SECOND
from pairingd.core.network import Network
from pairingd.home import config
from pairingd.home.paths import Paths
from pairingd.machine.clock import Clock
from pairingd.reconcile.access.entrance import Entrance
from pairingd.reconcile.access.lane import AccessLane
from pairingd.reconcile.arrivals import Arrivals
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.dial import DialLane
from pairingd.reconcile.hole import HoleLane
from pairingd.reconcile.hostname import HostnameLane
from pairingd.reconcile.journal import journal
from pairingd.reconcile.lookout import Lookout
from pairingd.reconcile.mapping.hairpin import Look
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.reconcile.mapping.second import Second
from pairingd.reconcile.outside import Outside
from pairingd.reconcile.relay import RelayLane
from pairingd.reconcile.witness import Witness
from pairingd.replies.advisor import Advisor
from pairingd.replies.answers import own_host, own_ipv6, places
from pairingd.replies.opening import Opening
from pairingd.replies.parts import Parts
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world import keyscan, network, resolver
from pairingd.world.awake import Awake
from pairingd.world.desktop import Desktop
from pairingd.world.door import Door
from pairingd.world.forced_command import logged_in
from pairingd.world.gateway.pinholes import Pinholes
from pairingd.world.gateway.router import Router, high_port
from pairingd.world.identity import IdentityProviders
from pairingd.world.look_from import LookFrom
from pairingd.world.network.towards import locate
from pairingd.world.outgoing.hole import Hole
from pairingd.world.relay import Relay
from pairingd.world.relay_command import RelayCommand
from pairingd.world.sshd import Sshd, Sshds
from pairingd.world.tmux import Tmux


class _Ground(Struct, frozen=True):
    """What every lane stands on."""

    chosen: config.Config
    store: Store
    intent: Intent
    door: Door
    clock: Clock
    signals: Signals

    def door_port(self) -> int | None:
        return self.door.port


class _Mappings(Struct, frozen=True):
    """The lanes that hold something on a router: at the `first`, on the `second` in front of it."""

    router: Router
    first: MappingLane
    second: MappingLane
    pinhole: MappingLane


class _Further(Struct, frozen=True):
    """The lanes for endpoints beyond a router's port."""

    hole: HoleLane
    hostname: HostnameLane
    dial: DialLane


def assemble(
    paths: Paths,
    settings: config.Settings,
    store: Store,
    clock: Clock,
    request_stop: Callable[[], None],
    *,
    tmux_socket: Path,
    control_socket: Callable[[], Path],
    signals: Signals,
) -> Parts:
    """Create every part and connect them."""
    keep_out_of_boxes(paths.boxes)
    chosen = settings.config
    intent = Intent(store, clock, signals, max_ttl=chosen.guests.max_ttl)

    def box() -> Box | None:
        """Return the box of the current session, alive or not; otherwise the one that lives."""
        session = intent.state.session
        if session and session.live:
            return Box(paths.boxes, session.box) if session.box else None
        return living(paths.boxes)

    tmux = Tmux(chosen.tmux.command, tmux_socket, chosen.tmux.session, box=box)
    signals.happened.connect(_ends_box(tmux))
    if session := intent.state.session:
        tmux.hand(session.tmux)

    def account() -> Account | None:
        place = box()
        return place.account if place else None

    keys = Path(paths.authorized_keys)
    own_sshd = Sshd(chosen.sshd.command, Path(paths.sshd_config), Path(paths.host_key), keys)
    sshd = Sshds(own_sshd, account)
    tunnel_end = frozenset(
        {chosen.door.address or "127.0.0.1"} if chosen.relay.ssh or chosen.relay.command.run else ()
    )
    admission = Admission(shared=tunnel_end)
    journaled = partial(journal, store)
    door = Door(sshd, chosen.door.address, clock, admission, logged_in, journaled)
    access = AccessLane(
        intent,
        store,
        tmux,
        door,
        Entrance(
            intent, door, sshd, keys, tmux, chosen.door.port, signals, control_socket, account
        ),
        clock,
        signals,
        awake=Awake() if chosen.host.keep_awake else None,
    )
    desktop = Desktop(enabled=chosen.host.notify)
    signals.endpoint_changed.connect(desktop.notify)
    signals.guests_changed.connect(desktop.notify)
    signals.knocked.connect(desktop.notify)
    signals.guest_waits.connect(desktop.notify)

    async def look(
        host: str, port: int, gateway: str = "", *, forwarded: bool = False
    ) -> keyscan.Sight:
        key = await sshd().host_key()
        return await keyscan.look(
            host, port, key.type, key.blob, router=gateway, forwarded=forwarded
        )

    def occupied() -> bool:
        return any(login.joined for login in access.logins)

    ground = _Ground(chosen, store, intent, door, clock, signals)
    mappings = _mapping_lanes(ground, look, occupied)
    relay = RelayLane(
        intent,
        store,
        _relay(chosen),
        ground.door_port,
        look,
        clock,
        signals,
        connected=lambda: bool(access.logins),
        join="port" if chosen.relay.command.run else chosen.relay.join,
    )
    own = partial(own_host, chosen.door)
    further = _further_lanes(ground, mappings, own)
    lookout = Lookout(
        intent,
        store,
        _look_from(chosen),
        lambda: places(parts),
        ground.door_port,
        partial(look, forwarded=True),
        clock,
        signals,
        named=bool(chosen.router.look_from),
    )
    parts = Parts(
        settings=settings,
        store=store,
        intent=intent,
        providers=IdentityProviders(chosen.providers),
        sshd=sshd,
        tmux=tmux,
        door=door,
        access=access,
        router=mappings.router,
        mapping=mappings.first,
        second=mappings.second,
        pinhole=mappings.pinhole,
        relay=relay,
        hole=further.hole,
        hostname=further.hostname,
        dial=further.dial,
        lookout=lookout,
        arrivals=Arrivals(signals),
        witness=Witness(own, ground.door_port, signals, external=chosen.router.external_host),
        witness6=Witness(lambda: own_ipv6(chosen.door, own()), ground.door_port, signals),
        aside=Aside(),
        clock=clock,
        started_at=clock(),
        request_stop=request_stop,
    )
    opening = Opening(parts, signals)
    signals.opened.connect(opening.announce)
    signals.dial_changed.connect(opening.renew)
    Advisor(parts, signals)
    return parts


def _mapping_lanes(ground: _Ground, look: Look, occupied: Callable[[], bool]) -> _Mappings:
    """`occupied`: a guest is in."""
    settings, store, intent = ground.chosen.router, ground.store, ground.intent
    clock, signals = ground.clock, ground.signals
    door_address = ground.chosen.forwarded_address

    async def own_network() -> Network | None:
        return await first.look_around()

    router = Router(settings, store, clock, mac_of=network.neighbour)
    beyond = Second(
        settings, own_network, lambda: first.current, store.mappings, network.second_hop
    )
    second = MappingLane(
        intent,
        store,
        Router(settings.of_second(), store, clock, mac_of=network.neighbour),
        beyond.locate,
        beyond.port,
        clock,
        signals,
        policy=SECOND,
        enabled=settings.asks_second,
        look=look,
        hostname=settings.hostname,
        occupied=occupied,
    )
    first = MappingLane(
        intent,
        store,
        router,
        partial(locate, settings.gateway or config.host_of(settings.description_url)),
        ground.door_port,
        clock,
        signals,
        enabled=settings.enabled,
        look=look,
        second=second,
        hole_port=high_port if ground.chosen.cgnat.stun else None,
        hostname=settings.hostname,
        door_address=door_address,
        occupied=occupied,
    )
    first.changed.connect(second.poke)
    pinhole = MappingLane(
        intent,
        store,
        Pinholes(settings, store, clock),
        network.current_ipv6,
        ground.door_port,
        clock,
        signals,
        policy=PINHOLE,
        enabled=_wants_pinhole(settings),
        door_address=door_address,
        occupied=occupied,
    )
    return _Mappings(router, first, second, pinhole)


def _further_lanes(ground: _Ground, mappings: _Mappings, own: Callable[[], str]) -> _Further:
    """`own` returns this machine's address for guests nearby."""
    settings, cgnat, intent = ground.chosen.router, ground.chosen.cgnat, ground.intent
    clock, signals = ground.clock, ground.signals
    outside = Outside(settings, intent, mappings.first, mappings.second, ground.door_port, own)
    make_hole = partial(_hole, cgnat)
    hole = HoleLane(
        intent, outside.forwarded, make_hole, cgnat.stun, settings.hostname, own, clock, signals
    )
    hostname = HostnameLane(
        intent,
        settings.hostname,
        lambda: outside.public(hole.endpoint),
        resolver.resolve,
        partial(resolver.update, settings.update) if settings.update else None,
        clock,
        signals,
    )
    dial = DialLane(intent, ground.door, outside.towards, make_hole, cgnat.stun, clock, signals)
    for changed in (mappings.first.changed, mappings.second.changed):
        for lane in (hole, hostname, dial):
            changed.connect(lane.poke)
    return _Further(hole, hostname, dial)


def _hole(cgnat: config.Cgnat, port: int, changed: Callable[[], None]) -> Hole | None:
    return Hole(cgnat.server, port, changed) if cgnat.stun else None


def _ends_box(tmux: Tmux) -> Callable[[str], None]:
    """End a box with its session: a guest can keep its server from ending by itself."""

    def happened(kind: str) -> None:
        if kind == "tmux-ended" and (box := tmux.box):
            asyncio.get_running_loop().run_in_executor(None, box.end)

    return happened


def _relay(chosen: config.Config) -> Relay | RelayCommand | None:
    if chosen.relay.command.run:
        return RelayCommand(chosen.relay.command)
    return Relay(chosen.relay, chosen.door.address) if chosen.relay.ssh else None


def _look_from(chosen: config.Config) -> LookFrom | None:
    """Fall back to the relay."""
    destination = chosen.router.look_from or chosen.relay.ssh
    return LookFrom(destination, chosen.relay.ssh_program) if destination else None


def _wants_pinhole(router: config.Router) -> bool:
    """Whether to request pinholes from a router: a configured gateway is for IPv4 only."""
    named = router.gateway or router.description_url
    return router.enabled and not named and any(gateways.named(name).ipv6 for name in router.spoken)
