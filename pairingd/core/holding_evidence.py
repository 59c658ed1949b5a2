"""What is concluded from what was seen of a mapping's endpoint. `core.holding` has the law."""

from __future__ import annotations

import ipaddress

from pairingd.core.addresses import is_outsider, is_public
from pairingd.core.holding_events import (
    Action,
    Again,
    GuestCame,
    Judge,
    LookFromOutside,
    Outside,
    Reflected,
    StrangerCame,
)
from pairingd.core.holding_state import Endpoint, Holding, endpoint
from pairingd.core.model import Mapping
from pairingd.core.records import replace

Actions = tuple[Action, ...]


def look_from_outside(held: Mapping) -> Actions:
    """A router on loopback is a demonstration's; its external address is somebody else's."""
    if ipaddress.ip_address(held.gateway).is_loopback:
        return ()
    return (LookFromOutside(held),) if is_public(held.external_host) else ()


def guest_came(state: Holding, event: GuestCame, now: float) -> tuple[Holding, Actions]:
    """A login from the internet is the best proof that an endpoint works."""
    held = _reached(state, event, now)
    if held is None:
        return state, ()
    known = state.evidence.guest == endpoint(held)
    proven = replace(state, evidence=replace(state.evidence, guest=endpoint(held)))
    return proven, () if known else _honoured(held)


def stranger_came(state: Holding, event: StrangerCame, now: float) -> tuple[Holding, Actions]:
    """Any connection from the internet proves that the endpoint works.

    The router is not judged by it: nobody has shown who they are, and on that judgement the port of
    another server may be requested.
    """
    held = _reached(state, event, now)
    if held is None:
        return state, ()
    return replace(state, evidence=replace(state.evidence, stranger=endpoint(held))), ()


def _reached(state: Holding, event: GuestCame | StrangerCame, now: float) -> Mapping | None:
    """The mapping by which somebody on the internet has come in."""
    held = state.current(event.door, now)
    if held and is_outsider(event.peer, held.internal_host, held.external_host):
        return held
    return None


def reflected(state: Holding, event: Reflected) -> tuple[Holding, Actions]:
    """Nobody at an endpoint says something only where the router has shown us our own door.

    Some routers list a mapping and renew it, and forward nothing until it is re-created.
    """
    seen, held = state.evidence, event.mapping
    if event.seen is Outside.OUR_DOOR:
        known = seen.hairpin == endpoint(held)
        seen = replace(seen, hairpin=endpoint(held), hairpin_network=held.network)
        return replace(state, evidence=seen), () if known else _honoured(held)
    if event.seen is Outside.ANOTHER_SERVER:
        seen = replace(unproven(state, held).evidence, misled=seen.misled | {held.id})
        return replace(state, evidence=seen), (Judge(held.network, honours=False), Again())
    if seen.hairpin_network != held.network:
        return state, ()
    seen = replace(seen, unreachable=seen.unreachable | {held.id})
    return replace(state, evidence=seen), (Again(),)


def _honoured(held: Mapping) -> Actions:
    """Between equal ports a router shows nothing of what it does with the internal one."""
    if held.external_port == held.internal_port:
        return ()
    return (Judge(held.network, honours=True),)


def unproven(state: Holding, held: Mapping) -> Holding:
    """What was seen of its endpoint before counts no more."""

    def without(one: Endpoint | None) -> Endpoint | None:
        return None if one and one[0] == held.id else one

    seen = state.evidence
    seen = replace(
        seen,
        guest=without(seen.guest),
        stranger=without(seen.stranger),
        hairpin=without(seen.hairpin),
    )
    return replace(state, evidence=seen)


def re_created(state: Holding, entry: Mapping) -> Holding:
    """Once is enough, until the router has shown us our own door again."""
    seen = state.evidence
    if entry.id not in seen.unreachable:
        return state
    left = seen.unreachable - {entry.id}
    seen = replace(seen, hairpin=None, hairpin_network=None, unreachable=left)
    return replace(state, evidence=seen)
