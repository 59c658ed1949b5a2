"""Every transition of the intent. Only this file changes a State.

`step` returns the state after an event, or raises Refused and has changed nothing. Time only
moves an invitation from live to expired; revoke, end, the invitation's conditions and the start of
a daemon that does not trust the saved state also end it. No invitation becomes live again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from math import floor
from typing import Any

from pairingd.core.durations import format_duration, utc
from pairingd.core.events import (
    Active,
    Begin,
    Came,
    CommandAnnounced,
    CommandPrinted,
    Dialing,
    DoorOpened,
    End,
    Event,
    Extend,
    Invite,
    Rested,
    Revoke,
    SetAccess,
    Tick,
    Visit,
    Went,
)
from pairingd.core.guest import canonical
from pairingd.core.model import (
    Access,
    Cause,
    Invitation,
    Rights,
    Session,
    Standing,
    State,
)
from pairingd.core.plan import idle
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.core.text import shell


def step(state: State, event: Event, now: float) -> State:
    """Return the state after `event` at `now`. Deadlines due by then take effect first."""
    return _settled(_apply(_expired(state, now), event, now), now)


def gives_rights(before: State, after: State) -> bool:
    """Whether `after` gives anybody a right that they do not have in `before`."""
    had = {invitation.id: invitation.rights for invitation in before.live}
    return any(
        invitation.id not in had or not had[invitation.id].cover(invitation.rights)
        for invitation in after.live
    )


def _apply(state: State, event: Event, now: float) -> State:
    match event:
        case Begin():
            return _begin(state, event, now)
        case Tick():
            return state
        case Invite():
            return _invite(state, event, now)
        case Extend():
            return _extend(state, event, now)
        case Revoke() | Rested() | End():
            return _taken_away(state, event, now)
        case SetAccess(invitation=id_, access=access):
            _live(state, id_)
            return _changed(state, id_, access=access)
        case Came() | Went() | Active() | Dialing():
            return _visited(state, event, now)
        case DoorOpened() | CommandPrinted() | CommandAnnounced():
            return _noted(state, event)


def _taken_away(state: State, event: Revoke | Rested | End, now: float) -> State:
    match event:
        case Revoke(invitations=ids):
            for invitation in ids:
                _live(state, invitation)
            return _over(state, ids, Standing.REVOKED, now, Cause.REVOKED)
        case Rested():
            return _over(state, idle(state, now), Standing.EXPIRED, now, Cause.IDLE)
        case End(cause=cause):
            return _over(
                state, [invitation.id for invitation in state.live], Standing.ENDED, now, cause
            )


def _begin(state: State, event: Begin, now: float) -> State:
    for invitation in state.live:
        marks = [
            mark.within(invitation.rights)
            for mark in event.marks
            if mark.invitation == invitation.id
        ]
        if not marks:
            state = _over(state, [invitation.id], Standing.REVOKED, now, Cause.DAEMON_STOPPED)
        elif invitation.rights not in marks:
            state = _reduced(state, invitation, marks, now)
    if event.clock_is_behind:
        left = [other.id for other in state.live]
        return _over(state, left, Standing.ENDED, now, Cause.DAEMON_STOPPED)
    used = [other.id for other in state.live if other.rights.used]
    state = _over(state, used, Standing.ENDED, now, Cause.USED)
    for invitation in state.live:
        latest = _start(invitation, now) + event.max_ttl
        if invitation.expires_at > latest:
            state = _changed(state, invitation.id, expires_at=floor(latest))
    return state


def _reduced(state: State, invitation: Invitation, marks: Sequence[Rights], now: float) -> State:
    """Reduce it to the best of its marks, each of which is less than its saved rights."""
    best = max(marks, key=lambda mark: (mark.expires_at, mark.access is Access.WRITE))
    used = any(mark.used for mark in marks)
    came_at = invitation.came_at or (floor(now) if used else None)
    terms = {"access": best.access, "expires_at": best.expires_at}
    return _changed(state, invitation.id, **terms, came_at=came_at)


def require_new(state: State, identities: Iterable[str], now: float) -> None:
    """Raise Refused `already-invited` as Invite would, but before keys are fetched."""
    live = {canonical(invitation.guest) for invitation in state.live if invitation.deadline > now}
    for guest in identities:
        if canonical(guest) in live:
            raise _already_invited(guest)


def _already_invited(guest: str) -> Refused:
    return Refused(
        "already-invited",
        f"{guest} is invited already",
        f"to print the command again: {shell('pairctl', 'invite', '--show', guest)}; "
        f"to invite them on other terms, first: {shell('pairctl', 'revoke', guest)}; "
        f"to move the deadline: {shell('pairctl', 'extend', guest, '1h')}",
    )


def _invite(state: State, event: Invite, now: float) -> State:
    guests = {canonical(invitation.guest) for invitation in state.live}
    owner = {key.blob: invitation.guest for invitation in state.live for key in invitation.keys}
    for new in event.invitations:
        _require_within(event.max_ttl, new.expires_at, _start(new, now), now)
        _require_within(event.max_ttl, new.conditions.opens_at or 0, now, now)
        if canonical(new.guest) in guests:
            raise _already_invited(new.guest)
        guests.add(canonical(new.guest))
        for key in new.keys:
            if key.blob in owner:
                # sshd uses the first line that matches a key, so two guests with the same key
                # would be indistinguishable and could not have different access.
                other = owner[key.blob]
                live = any(invitation.guest == other for invitation in state.live)
                raise Refused(
                    "key-already-invited",
                    f"{new.guest} has the same key as {other}"
                    + (", who is invited already" if live else ""),
                    (f"revoke {other} first, or " if live else "") + "invite only one of them",
                )
            owner[key.blob] = new.guest
    session = state.session
    if session is None or not session.live:
        session = Session(
            event.session,
            floor(now),
            event.external_port,
            port_chosen=event.port_chosen,
            box=event.box,
        )
    elif event.box != session.box:
        raise mixed_session()
    elif event.port_chosen and event.external_port != session.external_port:
        raise Refused(
            "port-fixed",
            f"this session uses external port {session.external_port} already",
            "leave --port out, or end the session first: pairctl end",
        )
    invitations = session.invitations + event.invitations
    return State(replace(session, invitations=invitations, tmux=event.tmux or session.tmux))


def mixed_session() -> Refused:
    return Refused(
        "mixed-session",
        "a session is in its box, or an account's, as a whole, and another one is under way",
        "end its invitations first: pairctl end",
    )


def _extend(state: State, event: Extend, now: float) -> State:
    invitation = _live(state, event.invitation)
    if too_early := _too_early(invitation, event.expires_at, now):
        raise Refused(
            "deadline-past",
            f"that would end {invitation.guest}'s invitation {too_early}",
            f"name a later time, or: {shell('pairctl', 'revoke', invitation.guest)}",
        )
    _require_within(event.max_ttl, event.expires_at, _start(invitation, now), now)
    return _changed(state, event.invitation, expires_at=event.expires_at)


def _too_early(invitation: Invitation, expires_at: int, now: float) -> str:
    """Return why it cannot end at `expires_at`, "" if it can: no invitation begins like that."""
    if expires_at <= now:
        return "at once"
    if expires_at <= (invitation.conditions.opens_at or 0):
        return "before it opens"
    join_by = invitation.conditions.join_by or 0
    if not invitation.came_at and expires_at < join_by:
        return f"before {utc(join_by)}, until when they may join"
    return ""


def _visited(state: State, event: Visit, now: float) -> State:
    """Ignore visits of an invitation that is over already."""
    invitation = state.invitation(event.invitation)
    if invitation is None or not invitation.live:
        return state
    match event:
        case Came():
            if invitation.rights.used:
                raise used_up(invitation.guest)
            state = _changed(state, invitation.id, came_at=invitation.came_at or floor(now))
            return _active(state, invitation, floor(now))
        case Went():
            if invitation.rights.used:
                return _over(state, (invitation.id,), Standing.ENDED, now, Cause.USED)
            return _active(state, invitation, floor(now))
        case Active(at=at):
            return _active(state, invitation, at)
        case Dialing(dial=dial):
            return _changed(state, invitation.id, dial=dial)


def used_up(guest: str) -> Refused:
    return Refused(
        "used-up",
        f"{guest} was invited for one visit, and it has begun",
        f"once they have left: {shell('pairctl', 'invite', guest)}",
    )


def _active(state: State, invitation: Invitation, at: int) -> State:
    if invitation.conditions.idle_seconds is None:
        return state
    return _changed(state, invitation.id, active_at=max(at, invitation.active_at or 0))


def _start(invitation: Invitation, now: float) -> float:
    """Return the start of its `max_ttl`."""
    return max(now, invitation.conditions.opens_at or 0)


def _require_within(max_ttl: float, expires_at: int, start: float, now: float) -> None:
    if expires_at > start + max_ttl:
        raise too_long(floor(max_ttl), scheduled=start > now)


def too_long(max_ttl: int, *, scheduled: bool) -> Refused:
    since = "after it opens" if scheduled else "from now"
    return Refused(
        "ttl-too-long",
        f"an invitation may last at most {format_duration(max_ttl)} {since}",
        "choose a shorter time, or raise [guests] max_ttl in config.toml, then: pairctl restart",
    )


def _live(state: State, invitation_id: str) -> Invitation:
    invitation = state.invitation(invitation_id)
    if invitation is None or not invitation.live:
        raise Refused(
            "no-such-guest", "that invitation is over", "pairctl status shows who is invited"
        )
    return invitation


def _changed(state: State, invitation_id: str, **changes: Any) -> State:
    """`changes` are fields of the invitation."""
    assert state.session is not None  # noqa: S101 - _live() found the invitation in it
    invitations = (
        replace(invitation, **changes) if invitation.id == invitation_id else invitation
        for invitation in state.session.invitations
    )
    return State(replace(state.session, invitations=tuple(invitations)))


def _expired(state: State, now: float) -> State:
    session = state.session
    if session is None or session.first_deadline > now:
        return state
    expired = partial(replace, standing=Standing.EXPIRED, cause=Cause.EXPIRED)
    invitations = (
        expired(invitation, over_at=floor(invitation.deadline))
        if invitation.live and invitation.deadline <= now
        else invitation
        for invitation in session.invitations
    )
    return State(replace(session, invitations=tuple(invitations)))


def _over(state: State, ids: Iterable[str], standing: Standing, at: float, cause: Cause) -> State:
    if state.session is None:
        return state
    ending = frozenset(ids)
    over = partial(replace, standing=standing, over_at=floor(at), cause=cause)
    invitations = (
        over(invitation) if invitation.id in ending else invitation
        for invitation in state.session.invitations
    )
    return State(replace(state.session, invitations=tuple(invitations)))


def _noted(state: State, event: DoorOpened | CommandPrinted | CommandAnnounced) -> State:
    """Ignore an endpoint while nobody may enter."""
    session = state.session
    if session is None:
        return state
    if isinstance(event, DoorOpened):
        return State(replace(session, door_port=event.port))
    if not session.live:
        return state
    printed = event.address if isinstance(event, CommandPrinted) else session.printed
    return State(replace(session, printed=printed, announced=event.address))


def _settled(state: State, now: float) -> State:
    """End a session once no invitation is live; it then has no endpoints any more."""
    session = state.session
    if session is None or session.live or session.ended_at is not None:
        return state
    last = max(
        (invitation.over_at or floor(now) for invitation in session.invitations), default=floor(now)
    )
    return State(replace(session, ended_at=last, printed=None, announced=None))
