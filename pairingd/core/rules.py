"""Every transition of the intent. All that changes a State stands in this file.

`step` returns the state after an event, or raises Refused and has changed nothing. Time only
moves an invitation from live to expired; the other ways out of live are revoke, end and the begin
of a daemon that does not trust what was saved. There is no way back into it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import floor, inf

from pairingd.core.durations import format_duration
from pairingd.core.guest import canonical
from pairingd.core.model import Access, Invitation, Session, Standing, State, WayIn
from pairingd.core.refusal import Refused
from pairingd.core.text import shell


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; deadlines that are reached take effect."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A daemon starts with the saved state, which may be older than the last change.

    `outdated` are the invitations that are over although the state has them live. With a clock that
    is behind nobody's deadline can be told. No deadline is more than `max_ttl` seconds ahead.
    """

    outdated: frozenset[str]
    clock_is_behind: bool
    max_ttl: float


@dataclass(frozen=True, slots=True)
class Invite:
    """All of these guests, or none, each until `max_ttl` seconds ahead of now at most.

    `session` is the id to use if a session begins with it.
    """

    session: str
    invitations: tuple[Invitation, ...]
    external_port: int
    port_chosen: bool = False
    max_ttl: float = inf
    tmux: str = ""


@dataclass(frozen=True, slots=True)
class Extend:
    """Move a deadline, at most `max_ttl` seconds ahead of now."""

    invitation: str
    expires_at: int
    max_ttl: int


@dataclass(frozen=True, slots=True)
class Revoke:
    invitations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetAccess:
    invitation: str
    access: Access


@dataclass(frozen=True, slots=True)
class End:
    """The host ends the session, or the tmux session is seen to be gone."""


@dataclass(frozen=True, slots=True)
class DoorOpened:
    """The door stands on this port; a restarted daemon should ask for it again."""

    port: int


@dataclass(frozen=True, slots=True)
class WayTold:
    """The host was given the command for the guests, with this way in."""

    way: WayIn


@dataclass(frozen=True, slots=True)
class WayAnnounced:
    """The host was told that the guests need another command, with this way in."""

    way: WayIn


Event = (
    Begin | Tick | Invite | Extend | Revoke | SetAccess | End | DoorOpened | WayTold | WayAnnounced
)


def step(state: State, event: Event, now: float) -> State:
    """The state after `event` at `now`. Deadlines due by then take effect first."""
    return _settled(_apply(_expired(state, now), event, now), now)


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
        case Revoke(invitations=ids):
            for invitation in ids:
                _live(state, invitation)
            return _over(state, ids, Standing.REVOKED, floor(now))
        case SetAccess(invitation=id_, access=access):
            _live(state, id_)
            return _changed(state, id_, access=access)
        case End():
            return _over(state, (one.id for one in state.live), Standing.ENDED, floor(now))
        case DoorOpened() | WayTold() | WayAnnounced():
            return _noted(state, event)


def _begin(state: State, event: Begin, now: float) -> State:
    live = {one.id for one in state.live}
    state = _over(state, live & event.outdated, Standing.REVOKED, floor(now))
    if event.clock_is_behind:
        return _over(state, live - event.outdated, Standing.ENDED, floor(now))
    for one in state.live:
        if one.expires_at > now + event.max_ttl:
            state = _changed(state, one.id, expires_at=floor(now + event.max_ttl))
    return state


def _invite(state: State, event: Invite, now: float) -> State:
    guests = {canonical(one.guest) for one in state.live}
    owner = {key.blob: one.guest for one in state.live for key in one.keys}
    for new in event.invitations:
        _require_within(event.max_ttl, new.expires_at, now)
        if canonical(new.guest) in guests:
            raise Refused(
                "already-invited",
                f"{new.guest} is invited already",
                f"to move the deadline: {shell('pairctl', 'extend', new.guest, '1h')}",
            )
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
        session = Session(event.session, floor(now), event.external_port)
    elif event.port_chosen and event.external_port != session.external_port:
        raise Refused(
            "port-fixed",
            f"this session uses external port {session.external_port} already",
            "leave --port out, or end the session first: pairctl end",
        )
    invitations = session.invitations + event.invitations
    return State(replace(session, invitations=invitations, tmux=event.tmux or session.tmux))


def _extend(state: State, event: Extend, now: float) -> State:
    invitation = _live(state, event.invitation)
    if event.expires_at <= now:
        raise Refused(
            "deadline-past",
            f"that would end {invitation.guest}'s invitation at once",
            f"name a later time, or: {shell('pairctl', 'revoke', invitation.guest)}",
        )
    _require_within(event.max_ttl, event.expires_at, now)
    return _changed(state, event.invitation, expires_at=event.expires_at)


def _require_within(max_ttl: float, expires_at: int, now: float) -> None:
    if expires_at > now + max_ttl:
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


def _changed(
    state: State,
    invitation_id: str,
    *,
    access: Access | None = None,
    expires_at: int | None = None,
) -> State:
    assert state.session is not None  # noqa: S101 - _live() found the invitation in it
    return State(
        replace(
            state.session,
            invitations=tuple(
                replace(one, access=access or one.access, expires_at=expires_at or one.expires_at)
                if one.id == invitation_id
                else one
                for one in state.session.invitations
            ),
        )
    )


def _expired(state: State, now: float) -> State:
    for invitation in state.live:
        if invitation.expires_at <= now:
            state = _over(state, (invitation.id,), Standing.EXPIRED, invitation.expires_at)
    return state


def _over(state: State, ids: Iterable[str], standing: Standing, at: int) -> State:
    if state.session is None:
        return state
    ending = frozenset(ids)
    return State(
        replace(
            state.session,
            invitations=tuple(
                replace(one, standing=standing, over_at=at) if one.id in ending else one
                for one in state.session.invitations
            ),
        )
    )


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
