"""Every transition of the intent. All that changes a State stands in this file.

`step` returns the state after an event, or raises Refused and has changed nothing. Time only
moves an invitation from live to expired; the other ways out of live are revoke, end, the
invitation's conditions and the begin of a daemon that does not trust what was saved. There is no
way back into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from math import floor, inf
from typing import Any

from msgspec import Struct

from pairingd.core.dial import Dialing
from pairingd.core.durations import format_duration
from pairingd.core.guest import canonical
from pairingd.core.model import Access, Cause, Invitation, Rights, Session, Standing, State, WayIn
from pairingd.core.plan import idle
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.core.text import shell


class Tick(Struct, frozen=True):
    """Time has passed; deadlines that are reached take effect."""


class Begin(Struct, frozen=True):
    """A daemon starts with the saved state, which may be older than the last change.

    `marks` bound what it may claim: an invitation without one is over. With a clock that is behind
    nobody's deadline can be told. No deadline is more than `max_ttl` seconds ahead.
    """

    marks: frozenset[Rights]
    clock_is_behind: bool
    max_ttl: float


class Invite(Struct, frozen=True):
    """All of these guests, or none, each until `max_ttl` seconds ahead of now at most.

    `session` is the id to use if a session begins with it.
    """

    session: str
    invitations: tuple[Invitation, ...]
    external_port: int
    port_chosen: bool = False
    max_ttl: float = inf
    tmux: str = ""
    box: str = ""


class Extend(Struct, frozen=True):
    """Move a deadline, at most `max_ttl` seconds ahead of now."""

    invitation: str
    expires_at: int
    max_ttl: int


class Revoke(Struct, frozen=True):
    invitations: tuple[str, ...]


class SetAccess(Struct, frozen=True):
    invitation: str
    access: Access


class Came(Struct, frozen=True):
    """The guest is in the session. Refused where an earlier visit has used the invitation up."""

    invitation: str


class Went(Struct, frozen=True):
    """The guest's last connection is over."""

    invitation: str


class Active(Struct, frozen=True):
    """A sign of life at `at`: the guest is connected, and somebody types."""

    invitation: str
    at: int


class Rested(Struct, frozen=True):
    """Nobody has shown a sign of life; it ends those whose time for that is over."""


class End(Struct, frozen=True):
    """The host ends the session, or the tmux session is seen to be gone (Cause.TMUX_GONE)."""

    cause: Cause = Cause.ENDED


class DoorOpened(Struct, frozen=True):
    """The door stands on this port; a restarted daemon should ask for it again."""

    port: int


class WayTold(Struct, frozen=True):
    """The host was given the command for the guests, with this way in."""

    way: WayIn


class WayAnnounced(Struct, frozen=True):
    """The host was told that the guests need another command, with this way in."""

    way: WayIn


Visit = Came | Went | Active | Dialing
Event = (
    Begin
    | Tick
    | Invite
    | Extend
    | Revoke
    | SetAccess
    | Visit
    | Rested
    | End
    | DoorOpened
    | WayTold
    | WayAnnounced
)


def step(state: State, event: Event, now: float) -> State:
    """The state after `event` at `now`. Deadlines due by then take effect first."""
    return _settled(_apply(_expired(state, now), event, now), now)


def gives_rights(before: State, after: State) -> bool:
    """Whether anybody may do anything in `after` that they may not in `before`."""
    had = {one.id: one.rights for one in before.live}
    return any(one.id not in had or not had[one.id].cover(one.rights) for one in after.live)


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
        case DoorOpened() | WayTold() | WayAnnounced():
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
            return _over(state, [one.id for one in state.live], Standing.ENDED, now, cause)


def _begin(state: State, event: Begin, now: float) -> State:
    for one in state.live:
        marks = [mark.within(one.rights) for mark in event.marks if mark.invitation == one.id]
        if not marks:
            state = _over(state, [one.id], Standing.REVOKED, now, Cause.DAEMON_STOPPED)
        elif one.rights not in marks:
            state = _reduced(state, one, marks, now)
    if event.clock_is_behind:
        left = [one.id for one in state.live]
        return _over(state, left, Standing.ENDED, now, Cause.DAEMON_STOPPED)
    used = [one.id for one in state.live if one.rights.used]
    state = _over(state, used, Standing.ENDED, now, Cause.USED)
    for one in state.live:
        latest = _start(one, now) + event.max_ttl
        if one.expires_at > latest:
            state = _changed(state, one.id, expires_at=floor(latest))
    return state


def _reduced(state: State, one: Invitation, marks: Sequence[Rights], now: float) -> State:
    """To the best of its marks, each of which is less than what it claims."""
    best = max(marks, key=lambda mark: (mark.expires_at, mark.access is Access.WRITE))
    used = any(mark.used for mark in marks)
    came_at = one.came_at or (floor(now) if used else None)
    terms = {"access": best.access, "expires_at": best.expires_at}
    return _changed(state, one.id, **terms, came_at=came_at)


def require_new(state: State, identities: Iterable[str], now: float) -> None:
    """Raise Refused `already-invited`, as Invite would: before anything is fetched for it."""
    live = {canonical(one.guest) for one in state.live if one.deadline > now}
    for guest in identities:
        if canonical(guest) in live:
            raise _already_invited(guest)


def _already_invited(guest: str) -> Refused:
    return Refused(
        "already-invited",
        f"{guest} is invited already",
        f"to print the command again: {shell('pairctl', 'invite', '--show', guest)}; "
        f"to move the deadline: {shell('pairctl', 'extend', guest, '1h')}",
    )


def _invite(state: State, event: Invite, now: float) -> State:
    guests = {canonical(one.guest) for one in state.live}
    owner = {key.blob: one.guest for one in state.live for key in one.keys}
    for new in event.invitations:
        _require_within(event.max_ttl, new.expires_at, _start(new, now))
        _require_within(event.max_ttl, new.conditions.opens_at or 0, now)
        if canonical(new.guest) in guests:
            raise _already_invited(new.guest)
        guests.add(canonical(new.guest))
        for key in new.keys:
            if key.blob in owner:
                # sshd takes the first line that fits a key, so two guests with one key
                # could not be told apart, nor given different access.
                other = owner[key.blob]
                live = any(one.guest == other for one in state.live)
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
    if event.expires_at <= now:
        raise Refused(
            "deadline-past",
            f"that would end {invitation.guest}'s invitation at once",
            f"name a later time, or: {shell('pairctl', 'revoke', invitation.guest)}",
        )
    _require_within(event.max_ttl, event.expires_at, _start(invitation, now))
    return _changed(state, event.invitation, expires_at=event.expires_at)


def _visited(state: State, event: Visit, now: float) -> State:
    """Of an invitation that is over already nothing is noted."""
    one = next((one for one in state.live if one.id == event.invitation), None)
    if one is None:
        return state
    match event:
        case Came():
            if one.conditions.once and one.came_at:
                raise Refused(
                    "used-up",
                    f"{one.guest} was invited for one visit, and it has begun",
                    "invite them again",
                )
            state = _changed(state, one.id, came_at=one.came_at or floor(now))
            return _active(state, one, floor(now))
        case Went():
            if one.conditions.once and one.came_at:
                return _over(state, (one.id,), Standing.ENDED, now, Cause.USED)
            return _active(state, one, floor(now))
        case Active(at=at):
            return _active(state, one, at)
        case Dialing(dial=dial):
            return _changed(state, one.id, dial=dial)


def _active(state: State, one: Invitation, at: int) -> State:
    if one.conditions.idle_seconds is None:
        return state
    return _changed(state, one.id, active_at=max(at, one.active_at or 0))


def _start(invitation: Invitation, now: float) -> float:
    """From when on it may last `max_ttl`."""
    return max(now, invitation.conditions.opens_at or 0)


def _require_within(max_ttl: float, expires_at: int, start: float) -> None:
    if expires_at > start + max_ttl:
        raise too_long(floor(max_ttl))


def too_long(max_ttl: int) -> Refused:
    return Refused(
        "ttl-too-long",
        f"an invitation may last at most {format_duration(max_ttl)} from now",
        "choose a shorter time, or raise [guests] max_ttl in config.toml",
    )


def _live(state: State, invitation_id: str) -> Invitation:
    for invitation in state.live:
        if invitation.id == invitation_id:
            return invitation
    raise Refused("no-such-guest", "that invitation is over", "pairctl status shows who is invited")


def _changed(state: State, invitation_id: str, **changes: Any) -> State:
    """`changes` are fields of the invitation."""
    assert state.session is not None  # noqa: S101 - _live() found the invitation in it
    invitations = (
        replace(one, **changes) if one.id == invitation_id else one
        for one in state.session.invitations
    )
    return State(replace(state.session, invitations=tuple(invitations)))


def _expired(state: State, now: float) -> State:
    for invitation in state.live:
        if (deadline := invitation.deadline) <= now:
            over = (invitation.id,)
            state = _over(state, over, Standing.EXPIRED, deadline, Cause.EXPIRED)
    return state


def _over(state: State, ids: Iterable[str], standing: Standing, at: float, cause: Cause) -> State:
    if state.session is None:
        return state
    ending = frozenset(ids)
    over = partial(replace, standing=standing, over_at=floor(at), cause=cause)
    invitations = (over(one) if one.id in ending else one for one in state.session.invitations)
    return State(replace(state.session, invitations=tuple(invitations)))


def _noted(state: State, event: DoorOpened | WayTold | WayAnnounced) -> State:
    """Where nobody may enter there is nobody to tell a way in to."""
    session = state.session
    if session is None:
        return state
    if isinstance(event, DoorOpened):
        return State(replace(session, door_port=event.port))
    if not session.live:
        return state
    told = event.way if isinstance(event, WayTold) else session.told
    return State(replace(session, told=told, announced=event.way))


def _settled(state: State, now: float) -> State:
    """A session is over once no one may enter any more; then no way in is told any more."""
    session = state.session
    if session is None or session.live or session.ended_at is not None:
        return state
    last = max((one.over_at or floor(now) for one in session.invitations), default=floor(now))
    return State(replace(session, ended_at=last, told=None, announced=None))
