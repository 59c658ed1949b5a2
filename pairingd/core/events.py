"""What can happen to the intent: the events of `core.rules`."""

from __future__ import annotations

from math import inf

from msgspec import Struct

from pairingd.core.model import Access, Cause, Dial, HostPort, Invitation, Rights


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


class Dialing(Struct, frozen=True):
    """The guest is dialed by other ports, or was sent the command for these."""

    invitation: str
    dial: Dial


class End(Struct, frozen=True):
    """The host ends the session, or the tmux session is seen to be gone (Cause.TMUX_GONE)."""

    cause: Cause = Cause.ENDED


class DoorOpened(Struct, frozen=True):
    """The door stands on this port; a restarted daemon should ask for it again."""

    port: int


class CommandPrinted(Struct, frozen=True):
    """The host was given the command for the guests, with this way in."""

    way: HostPort


class CommandAnnounced(Struct, frozen=True):
    """The host was told that the guests need another command, with this way in."""

    way: HostPort


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
    | CommandPrinted
    | CommandAnnounced
)
