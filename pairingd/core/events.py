"""The events that `core.rules` applies to the intent."""

from __future__ import annotations

from math import inf

from msgspec import Struct

from pairingd.core.model import Access, Cause, Dial, HostPort, Invitation, Rights


class Tick(Struct, frozen=True):
    """Time has passed; reached deadlines take effect."""


class Begin(Struct, frozen=True):
    """A daemon starts with the saved state, which may be older than the last change.

    `marks` limit it: an invitation without a mark is over. With a clock that is behind, deadlines
    are unreliable and all are over. No deadline may be more than `max_ttl` seconds ahead.
    """

    marks: frozenset[Rights]
    clock_is_behind: bool
    max_ttl: float


class Invite(Struct, frozen=True):
    """Invite all of these guests or none, each for at most `max_ttl` seconds.

    `session` is the id of the new session, if one begins.
    """

    session: str
    invitations: tuple[Invitation, ...]
    external_port: int
    port_chosen: bool = False
    max_ttl: float = inf
    tmux: str = ""
    box: str = ""


class Extend(Struct, frozen=True):
    """Move a deadline to at most `max_ttl` seconds from now."""

    invitation: str
    expires_at: int
    max_ttl: int


class Revoke(Struct, frozen=True):
    invitations: tuple[str, ...]


class SetAccess(Struct, frozen=True):
    invitation: str
    access: Access


class Came(Struct, frozen=True):
    """The guest is in the session. Refused if an earlier visit used the invitation up."""

    invitation: str


class Went(Struct, frozen=True):
    """The guest's last connection is over."""

    invitation: str


class Active(Struct, frozen=True):
    """At `at` the guest was connected and somebody typed."""

    invitation: str
    at: int


class Rested(Struct, frozen=True):
    """Nobody was active; invitations that are idle for too long end."""


class Dialing(Struct, frozen=True):
    """The ports to dial the guest have changed, or the command for them was printed."""

    invitation: str
    dial: Dial


class End(Struct, frozen=True):
    """The host ends the session, or the tmux session is gone (Cause.TMUX_GONE)."""

    cause: Cause = Cause.ENDED


class DoorOpened(Struct, frozen=True):
    """The door listens on this port; a restarted daemon should request it again."""

    port: int


class CommandPrinted(Struct, frozen=True):
    """The host got the guests' command, with this endpoint."""

    address: HostPort


class CommandAnnounced(Struct, frozen=True):
    """pairingd reported to the host that the guests need another command, with this endpoint."""

    address: HostPort


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
