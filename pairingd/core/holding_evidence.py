"""What is concluded from what was seen of a mapping's endpoint. `core.holding` has the law."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.holding_events import Action, Again, GuestCame, Judge, Outside, Reflected
from pairingd.core.holding_state import Holding, endpoint
from pairingd.core.model import Mapping

Actions = tuple[Action, ...]


def guest_came(state: Holding, event: GuestCame, now: float) -> tuple[Holding, Actions]:
    """A login from the internet is the only proof that an endpoint works."""
    held = state.current(event.door, now)
    if held is None or external_class(event.peer) is not ExternalClass.PUBLIC:
        return state, ()
    # By its family, and not from its own network: there a router may turn guests around in its
    # own name (hairpin).
    theirs, ours = ipaddress.ip_address(event.peer), ipaddress.ip_address(held.internal_host)
    if theirs.version != ours.version or event.peer == held.external_host:
        return state, ()
    if theirs.version == 6 and theirs.packed[:8] == ours.packed[:8]:
        return state, ()
    known = state.evidence.guest == endpoint(held)
    proven = replace(state, evidence=replace(state.evidence, guest=endpoint(held)))
    return proven, () if known else _honoured(held)


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
    seen = state.evidence
    guest = None if seen.guest and seen.guest[0] == held.id else seen.guest
    hairpin = None if seen.hairpin and seen.hairpin[0] == held.id else seen.hairpin
    return replace(state, evidence=replace(seen, guest=guest, hairpin=hairpin))


def re_created(state: Holding, entry: Mapping) -> Holding:
    """Once is enough, until the router has shown us our own door again."""
    seen = state.evidence
    if entry.id not in seen.unreachable:
        return state
    left = seen.unreachable - {entry.id}
    seen = replace(seen, hairpin=None, hairpin_network=None, unreachable=left)
    return replace(state, evidence=seen)
