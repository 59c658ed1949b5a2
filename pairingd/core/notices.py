"""Texts for a guest: on entry, before the end, when their terms change, and at the end.

`until` is a time of day by the host's clock, with the date if it is not today. Those on entry and
at a change are in forms, as in core/news.py.
"""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct

from pairingd.core.model import Access, Cause, Invitation
from pairingd.core.news import Forms
from pairingd.core.statusline import SHORT_ACCESS

LAST_MINUTES = (5, 1)  # before the end, at which a guest gets a notice
LONG_ACCESS = {Access.WRITE: "read-write", Access.READ: "read-only"}
_FAREWELLS = {
    Cause.REVOKED: "{host} removed you",
    Cause.ENDED: "{host} ended the session",
    Cause.TMUX_GONE: "the session has ended",
    Cause.DENIED: "{host} did not let you in",
    Cause.IDLE: "the session was idle for too long",
    Cause.USED: "the invitation was for one visit",
}


class Again(Enum):
    """How a guest who has left can come back."""

    SAME_COMMAND = auto()
    NEW_COMMAND = auto()  # a dialed one, whose visit has used its ports up
    NEVER = auto()

    @classmethod
    def of(cls, invitation: Invitation, *, dialed: bool) -> Again:
        if invitation.conditions.once:
            return cls.NEVER
        return cls.NEW_COMMAND if dialed else cls.SAME_COMMAND


_AGAIN = {
    Again.SAME_COMMAND: "same ssh returns",
    Again.NEW_COMMAND: "then ask for a new ssh",
    Again.NEVER: "one visit only",
}
_STOPPED = {
    Again.SAME_COMMAND: "if it restarts, same command until {until}",
    Again.NEW_COMMAND: "if it restarts, ask for a new command",
    Again.NEVER: "the invitation was for one visit",
}


class Terms(Struct, frozen=True):
    """A guest's terms, as last shown to them."""

    access: Access
    deadline: int
    minutes: int  # the least of LAST_MINUTES that is reached; 0 before

    @classmethod
    def of(cls, invitation: Invitation, now: float) -> Terms:
        left = invitation.deadline - now
        begun = [minutes for minutes in LAST_MINUTES if left <= 60 * minutes]
        return cls(invitation.access, invitation.deadline, min(begun, default=0))


def greeting(host: str, access: Access, until: str, leave: str, again: Again) -> Forms:
    """`leave` names the keys that leave the session."""
    role = SHORT_ACCESS[access]
    return (
        f"{host}'s session, {role} until {until}; {leave} leaves, {_AGAIN[again]}",
        f"{role} until {until}; {leave} leaves, {_AGAIN[again]}",
        f"{role} until {until}; {leave} leaves",
        f"{role} to {until}; {leave} leaves",
        f"{leave} leaves; {role} to {until}",
    )


def news(
    known: Terms | None,
    terms: Terms,
    host: str,
    until: str,
    leave: str,
    again: Again = Again.SAME_COMMAND,
) -> Forms:
    """Return the notice for a guest who knows `known`, () if nothing has changed."""
    if known is None:
        return greeting(host, terms.access, until, leave, again)
    if terms.access is not known.access:
        role = LONG_ACCESS[terms.access]
        return (
            f"{host} made you {role}, until {until} ({leave} leaves)",
            f"{host} made you {role} ({leave} leaves)",
            f"now {role}; {leave} leaves",
            f"{role}; {leave} leaves",
        )
    if terms.deadline != known.deadline:
        return (
            f"{host} changed your time: you may stay until {until}",
            f"you may stay until {until}",
            f"until {until}",
        )
    if terms.minutes and terms.minutes != known.minutes:
        plural = "" if terms.minutes == 1 else "s"
        left = f"{terms.minutes} minute{plural} left"
        return f"{left}, until {until}", left
    return ()


def farewell(invitation: Invitation | None, now: float, host: str, until: str) -> str:
    """Why a guest is out after the host, or time, ended the invitation."""
    cause = invitation.cause if invitation else None
    if cause in _FAREWELLS:
        return _FAREWELLS[cause].format(host=host)
    expired = invitation and (cause is Cause.EXPIRED or invitation.deadline <= now)
    if invitation is None or not expired:
        return f"{host}'s pairing closed this connection"
    if invitation.deadline < invitation.expires_at:
        return f"you had to join by {until}"
    return f"your time is up ({until})"


def stopped(host: str, until: str, again: Again = Again.SAME_COMMAND) -> str:
    """Why a guest with a live invitation is out: the daemon stops."""
    return f"{host} stopped pairing; {_STOPPED[again].format(until=until)}"
