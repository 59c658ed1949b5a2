"""A mapping's life on the gateway. This file has every decision about it, except for conclusions
from evidence of an endpoint: holding_evidence.py.

`step(holding, event, now)` returns the next state and the actions to take, in order. The caller
reports the result of a request as the next event, and takes that event's actions before the rest.

A round: Journaled, Woke, Moved, Wished; then Clear, Serve and Settled. `next_deadline` returns when
the next round is due; Again requests one soon. Fail, Distrust and NobodyToAsk end a round.

    event        state                               actions
    Journaled    always                              none: the journal has all mappings
    Woke         slept longer than A_SLEEP_S         none: no look counts any more, so Serve renews
    Moved        the gateway now shows its MAC       Record, under the network's full identity
                 it may be another network's         Distrust: it must not get a delete
    Clear        a second router leads to it         CloseSecond, then as below
                 does not lead to the door           Close
                 leads to another server             Close as a loss
                 unreachable from outside            Close as a loss
    Serve        nothing leads to the door           Open, without the silent protocols
                 what did is lost since Clear        none: the next round closes it first
                 not seen since the start, last      Renew
                 look failed, or renew_at reached
                 a look is due; less often, or       Check
                 quick, while a guest is in
    Granted      new, re-addressed, or looked at     LookFromOutside
                 from outside successfully before
    Looked       present                             Sweep, once in each network, if nobody else
                                                     has our client address
                 absent: lost, or a false alarm      Renew, which keeps its id and nonce; the
                                                     next looks come sooner with each loss
                 foreign                             Erase, Again: the port is another client's
    Closed       as a loss                           Again, which opens a new one
    Refused      Renew, code no-gateway              Record without renew_at (give-up), Again
                 Renew                               Close as a loss
                 Close                               none; Settled fails, unless the lease is over
                 Close as a loss, Open, Check        Fail
    Silent       Close                               as Refused; Open leaves out its protocol
                 any other                           Fail; the journal keeps the entry
    GuestCame    the first by this endpoint          Judge: the router honours internal ports
    StrangerCame through the mapping                 none: the endpoint is proven
    Reflected    our door                            Judge, likewise
                 nobody, after our door was seen     Again, to close it as unreachable
                 another server                      Judge: it does not; Again, to close it
    Announced    always                              Again, to look at it now
    Settled      another endpoint than announced,    Tell
                 and not behind another NAT
                 a Close has failed                  Fail
                 wished, and no gateway              NobodyToAsk

Mappings journaled in another network stay untouched: the gateway here must not get their delete. A
mapping on a second router has its own network and its own machine, with the first router's port as
the door.
"""

from __future__ import annotations

from pairingd.core.addresses import is_inside
from pairingd.core.holding_events import (
    Action,
    Again,
    Announced,
    Answer,
    Check,
    Clear,
    Close,
    Closed,
    CloseSecond,
    Distrust,
    Erase,
    Event,
    Fail,
    Granted,
    GuestCame,
    Journaled,
    Looked,
    Moved,
    NobodyToAsk,
    Note,
    Notice,
    Open,
    Presence,
    Record,
    Reflected,
    Refused,
    Renew,
    RoundEvent,
    Serve,
    Settled,
    Silent,
    StrangerCame,
    Sweep,
    Swept,
    Tell,
    Wished,
    Woke,
)
from pairingd.core.holding_evidence import (
    guest_came,
    look_from_outside,
    re_created,
    reflected,
    stranger_came,
    unproven,
)
from pairingd.core.holding_state import Holding, Look, endpoint
from pairingd.core.hostname import held_by_name
from pairingd.core.model import HostPort, Mapping
from pairingd.core.network import Network
from pairingd.core.plan import LONGEST_SLEEP_S
from pairingd.core.records import replace

A_SLEEP_S = 20.0

Actions = tuple[Action, ...]


def next_deadline(state: Holding, now: float) -> float | None:
    """Return when a held mapping next needs a look or a renewal; soon, while one is in another
    network, as no event may report our return to it.

    A mapping that the gateway never confirmed does not count: its lease is not known.
    """
    held = [
        min(entry.renew_at or float("inf"), state.next_look(entry))
        for entry in state.journal
        if entry.network == state.network_id and entry.id in state.looks
    ]
    stranded = [
        now + LONGEST_SLEEP_S
        for entry in state.own
        if entry.network != state.network_id
        and entry.granted_until is not None
        and not entry.is_over(now)
    ]
    return min(held + stranded, default=None)


def step(state: Holding, event: Event, now: float) -> tuple[Holding, Actions]:
    """Return the state after `event` at `now`, and the actions to take."""
    match event:
        case Granted() | Looked() | Closed() | Swept() | Refused() | Silent():
            return _answered(state, event, now)
        case GuestCame() | StrangerCame() | Reflected() | Announced():
            return _noticed(state, event, now)
        case _:
            return _in_round(state, event, now)


def _in_round(state: Holding, event: RoundEvent, now: float) -> tuple[Holding, Actions]:
    match event:
        case Journaled(entries):
            return replace(state, journal=entries), ()
        case Woke(asleep):
            return replace(state, looks={}) if asleep > A_SLEEP_S else state, ()
        case Moved(network):
            return _moved(state, network)
        case Wished(ports, chosen, hole, occupied):
            updated = replace(state, ports=ports, chosen=chosen, hole=hole, occupied=occupied)
            return updated, ()
        case Clear():
            return _clear(state, now)
        case Serve():
            return state, _serve(state, now)
        case Settled():
            return state, _settled(state, event, now)


def _answered(state: Holding, event: Answer, now: float) -> tuple[Holding, Actions]:
    match event:
        case Granted():
            return _granted(state, event, now)
        case Looked():
            return _looked(state, event, now)
        case Closed():
            return _closed(state, event)
        case Refused() | Silent():
            return _failed(state, event, now)
        case Swept(count):
            text = f"removed {count} of the router's forwards that were left here"
            return state, (Note("recovered", text),) if count else ()


def _noticed(state: Holding, event: Notice, now: float) -> tuple[Holding, Actions]:
    match event:
        case GuestCame():
            return guest_came(state, event, now)
        case StrangerCame():
            return stranger_came(state, event, now)
        case Reflected():
            return reflected(state, event)
        case Announced():  # the next round checks it at the gateway
            doubted = {id_: replace(look, last=look.since) for id_, look in state.looks.items()}
            return replace(state, looks=doubted), (Again(),)


# The round.


def _moved(state: Holding, network: Network | None) -> tuple[Holding, Actions]:
    """Decide by the gateway's MAC whether a journaled mapping belongs to this network.

    One made before the gateway's MAC was known belongs to the first network with the same numbers.
    """
    if network is None or not network.gateway:
        return replace(state, network=network), ()
    unnamed = replace(network, gateway_mac="")
    named: list[Action] = []
    for entry in state.journal:
        recorded = Network.of(entry.network)
        if recorded == network or replace(recorded, gateway_mac="") != unnamed:
            continue
        if recorded == unnamed:
            named.append(Record(replace(entry, network=network.identity)))
        elif not network.gateway_mac:
            known = state.network
            kept = known if known and replace(known, gateway_mac="") == network else None
            return replace(state, network=kept), (Distrust(network.gateway),)
    return replace(state, network=network), tuple(named)


def _clear(state: Holding, now: float) -> tuple[Holding, Actions]:
    """Close the harmful first, then the unreachable; if one of these fails, the round ends."""
    serving = state.serving(now)
    closing = [
        entry for entry in state.journal if entry.network == state.network_id and entry != serving
    ]
    misled = [entry for entry in closing if entry.id in state.evidence.misled]
    unreachable = [
        entry for entry in closing if entry.id in state.evidence.unreachable and entry not in misled
    ]
    unwanted = [entry for entry in closing if entry not in misled and entry not in unreachable]
    gone = {entry.id for entry in unwanted}  # next_deadline ignores them
    looks = {id_: look for id_, look in state.looks.items() if id_ not in gone}
    router = state.policy.router
    harmful = f"{router} leads the port to another server; closing it"
    useless = f"{router} has the mapping but forwards nothing; asking again"
    led_to = any(other.leads_to(entry) for entry in unwanted for other in state.journal)
    return (
        replace(state, looks=looks, silent={}, unclosed=None),
        (
            *((CloseSecond(),) if led_to else ()),
            *(Close(entry, harmful) for entry in misled),
            *(Close(entry, useless) for entry in unreachable),
            *(Close(entry) for entry in unwanted),
        ),
    )


def _serve(state: Holding, now: float) -> Actions:
    if state.wish is None:
        return ()
    entry = state.serving(now)
    if entry is None and state.lost_meanwhile:
        return ()  # it has the port that Open would request; the next round closes it
    if entry is None:
        return (Open(state.wish, frozenset(state.silent)),)
    look = state.looks.get(entry.id)
    # Only a renewal shows by PCP and NAT-PMP that a mapping exists; and after an unanswered look
    # it distinguishes a silent gateway from one that is gone.
    if look is None or not look.answered or (entry.renew_at or 0.0) <= now:
        return (Renew(entry, state.chosen),)
    if not look.last <= now < state.next_look(entry):  # earlier than `last`: the clock was set back
        return (Check(entry, state.is_quick(entry)),)
    return ()


def _settled(state: Holding, event: Settled, now: float) -> Actions:
    actions: list[Action] = []
    held = state.current(event.door, now) if event.door is not None else None
    if state.policy.announced and held and held.external_host and not is_inside(held.external_host):
        address = held_by_name(
            event.announced, event.hostname, HostPort(held.external_host, held.external_port)
        )
        if address != event.announced:
            actions.append(Tell(address, first=event.announced is None))
    if state.unclosed:
        actions.append(Fail((state.unclosed,)))
    elif state.policy.primary and state.network_id is None and event.door is not None:
        actions.append(NobodyToAsk())
    return tuple(actions)


# Results of requests.


def _granted(state: Holding, event: Granted, now: float) -> tuple[Holding, Actions]:
    new, request = event.mapping, event.request
    if isinstance(request, Open):
        return _seen(state, new, now), (*look_from_outside(new), _note_opened(state, new))
    look = state.looks.get(new.id)
    notes = (_note_opened(state, new, " again"),) if look and look.missed else ()
    moved = endpoint(new) != endpoint(request.mapping)
    our_door_was_seen = state.evidence.hairpin_network == new.network
    look_again = moved or our_door_was_seen or look is None
    return _seen(state, new, now), (*(look_from_outside(new) if look_again else ()), *notes)


def _looked(state: Holding, event: Looked, now: float) -> tuple[Holding, Actions]:
    entry, look = event.mapping, state.looks.get(event.mapping.id)
    match event.presence:
        case Presence.PRESENT:
            state = _seen(state, entry, now)
            if state.policy.shared or state.network is None:
                return state, ()
            if state.network.identity in state.swept:
                return state, ()
            swept = replace(state, swept=state.swept | {state.network.identity})
            keep = frozenset(entry.external_port for entry in state.journal)
            return swept, (Sweep(state.network, keep),)
        case Presence.ABSENT:
            # The same mapping again and not a new one: after a false alarm it still exists,
            # and a PCP server grants it to no client with another nonce.
            if look is None or look.missed:
                return state, (Renew(entry, state.chosen),)
            missed = replace(
                unproven(state, entry), looks={**state.looks, entry.id: look.lost(now)}
            )
            text = f"{state.policy.router} has lost the mapping; asking again"
            return missed, (_note_lost(entry, text), Renew(entry, state.chosen))
        case Presence.FOREIGN:
            text = f"somebody else has taken {state.policy.router}'s port; asking again"
            return _without(state, entry), (Erase(entry), _note_lost(entry, text), Again())


def _closed(state: Holding, event: Closed) -> tuple[Holding, Actions]:
    entry = event.request.mapping
    if not event.request.loss:
        text = f"{state.policy.router}'s port {entry.external_port} is closed"
        return state, (Note("mapping-closed", text),)
    state = _without(re_created(state, entry), entry)
    return state, (_note_lost(entry, event.request.loss), Again())


def _failed(state: Holding, event: Refused | Silent, now: float) -> tuple[Holding, Actions]:
    problem = event.problem
    match event.request:
        case Sweep():
            return state, ()
        case Close(entry, loss=""):
            # It leads to a closed port, and keeps no guest out. But a gateway that does not answer
            # gets no further requests: each would only add to the journal.
            silent = {entry.protocol: problem} if isinstance(event, Silent) else {}
            state = replace(state, silent={**state.silent, **silent})
            return (state if entry.is_over(now) else replace(state, unclosed=problem)), ()
        case Renew(entry) if isinstance(event, Refused):
            if problem.code == "no-gateway":
                return _give_up(state, entry)
            # Some routers do not renew until the old one is deleted.
            loss = f"{state.policy.router} did not renew the mapping ({problem.code}); asking again"
            return state, (Close(entry, loss),)
        case Close(entry) if entry.id in state.evidence.unreachable:
            if isinstance(event, Refused):  # it cannot be re-created, and may forward again
                state = re_created(state, entry)
        case Close(entry) | Renew(entry) | Check(entry):
            if look := state.looks.get(entry.id):
                looks = {**state.looks, entry.id: replace(look, answered=False)}
                state = replace(state, looks=looks)
        case Open():
            pass
    return state, (Fail((problem, *state.silent.values())),)


def _give_up(state: Holding, entry: Mapping) -> tuple[Holding, Actions]:
    """The router may have changed its protocol, and may change back before the lease ends."""
    text = f"no router answers to {entry.protocol} any more; asking again"
    given_up = replace(entry, renew_at=None)
    return _without(state, entry), (Record(given_up), _note_lost(entry, text), Again())


# Records.


def _seen(state: Holding, entry: Mapping, now: float) -> Holding:
    known = state.looks.get(entry.id)
    look = known.seen(now) if known else Look(now, now)
    return replace(state, looks={**state.looks, entry.id: look})


def _without(state: Holding, entry: Mapping) -> Holding:
    looks = {id_: look for id_, look in state.looks.items() if id_ != entry.id}
    return replace(state, looks=looks)


def _note_opened(state: Holding, new: Mapping, suffix: str = "") -> Note:
    return Note(
        "mapping-opened",
        state.policy.opened.format(port=new.external_port) + suffix,
        {
            "external_host": new.external_host,
            "external_port": new.external_port,
            "protocol": new.protocol,
        },
    )


def _note_lost(entry: Mapping, text: str) -> Note:
    return Note("mapping-lost", text, {"external_port": entry.external_port})
