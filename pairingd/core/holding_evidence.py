"""Conclusions from evidence of a mapping's endpoint. `core.holding` has the other rules."""

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
    """Not for a router on loopback: it is a demonstration's, its external address another's."""
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

    It emits no Judge: the peer is unauthenticated, and after a Judge pairingd may request the port
    of another server. A private endpoint is not proven: the peer came by another way.
    """
    held = _reached(state, event, now)
    if held is None or not is_public(held.external_host):
        return state, ()
    return replace(state, evidence=replace(state.evidence, stranger=endpoint(held))), ()


def _reached(state: Holding, event: GuestCame | StrangerCame, now: float) -> Mapping | None:
    """Return the mapping through which a peer on the internet connected."""
    held = state.current(event.door, now)
    if held and is_outsider(event.peer, held.internal_host, held.external_host):
        return held
    return None


def reflected(state: Holding, event: Reflected) -> tuple[Holding, Actions]:
    """Outside.NOBODY counts only if the router has shown us our own door before.

    Some routers list a mapping and renew it, and forward nothing until it is re-created.
    """
    evidence, held = state.evidence, event.mapping
    if event.seen is Outside.OUR_DOOR:
        known = evidence.hairpin == endpoint(held)
        evidence = replace(evidence, hairpin=endpoint(held), hairpin_network=held.network)
        return replace(state, evidence=evidence), () if known else _honoured(held)
    if event.seen is Outside.ANOTHER_SERVER:
        evidence = replace(unproven(state, held).evidence, misled=evidence.misled | {held.id})
        return replace(state, evidence=evidence), (Judge(held.network, honours=False), Again())
    if evidence.hairpin_network != held.network:
        return state, ()
    evidence = replace(evidence, unreachable=evidence.unreachable | {held.id})
    return replace(state, evidence=evidence), (Again(),)


def _honoured(held: Mapping) -> Actions:
    """Equal ports do not show whether the router honours the internal one."""
    if held.external_port == held.internal_port:
        return ()
    return (Judge(held.network, honours=True),)


def unproven(state: Holding, held: Mapping) -> Holding:
    """Drop the evidence of its endpoint."""

    def without(proof: Endpoint | None) -> Endpoint | None:
        return None if proof and proof[0] == held.id else proof

    evidence = state.evidence
    evidence = replace(
        evidence,
        guest=without(evidence.guest),
        stranger=without(evidence.stranger),
        hairpin=without(evidence.hairpin),
    )
    return replace(state, evidence=evidence)


def re_created(state: Holding, entry: Mapping) -> Holding:
    """Re-create it once only, until the router has shown us our own door again."""
    evidence = state.evidence
    if entry.id not in evidence.unreachable:
        return state
    unreachable = evidence.unreachable - {entry.id}
    evidence = replace(evidence, hairpin=None, hairpin_network=None, unreachable=unreachable)
    return replace(state, evidence=evidence)
