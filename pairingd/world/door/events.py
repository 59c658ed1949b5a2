"""What the door yields, in the order in which it happened. The access lane reads it.

`pid` is of the sshd that serves a connection, and names the connection from Connected until
Disconnected, which are yielded once each.
"""

from __future__ import annotations

import asyncio

from msgspec import Struct

from pairingd.core.admission import Refusal
from pairingd.core.penalties import Ban
from pairingd.errors import WorldError


class Reached(Struct, frozen=True):
    """A connection from this public address was accepted, whatever becomes of it."""

    peer: str


class Connected(Struct, frozen=True):
    """A connection has had an sshd since `since`; nobody has logged in. `dialed`: the host
    connected to the guest, for that invitation.
    """

    pid: int
    peer: str
    since: float
    dialed: str = ""


class Authenticated(Struct, frozen=True):
    """sshd accepted the key with this fingerprint. `Door.admit` answers whether it is a guest's.

    If sshd's log has lost that line, `invitation` is the one whose forced command runs there, and
    `fingerprint` is "".
    """

    pid: int
    fingerprint: str
    invitation: str = ""


class LoginRefused(Struct, frozen=True):
    """sshd refused a login, or LOGIN_GRACE passed without one. A connection may have several.

    `fingerprint` is of the key that was offered, `other_user` as in sshd's log; `unlike` is the
    kind of algorithm of which the client has none that sshd accepts.
    """

    pid: int
    fingerprint: str = ""
    other_user: bool = False
    unlike: str = ""


class Unjournaled(Struct, frozen=True):
    """A new sshd could not be journaled, and so served nobody. The client is told, too."""

    error: WorldError


class TurnedAway(Struct, frozen=True):
    """A connection got no place, or lost it to another; once for each address and reason.

    `ban` if that is the reason: again for a longer one.
    """

    peer: str
    reason: Refusal
    ban: Ban | None = None


class Disconnected(Struct, frozen=True):
    """The connection's sshd is gone."""

    pid: int


PeerEvent = Reached | Connected | Authenticated | LoginRefused | TurnedAway | Disconnected
Event = PeerEvent | Unjournaled
Events = asyncio.Queue[Event]
