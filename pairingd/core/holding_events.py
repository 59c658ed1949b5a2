"""What can happen to a mapping, and what can be requested for it. `core.holding` has the law."""

from __future__ import annotations

from collections.abc import Mapping as Map
from enum import Enum, auto
from typing import Any, Literal

from msgspec import Struct, field

from pairingd.core.model import HostPort, Mapping
from pairingd.core.network import Network
from pairingd.core.refusal import PairingError


class Presence(Enum):
    """What a look at the gateway showed. "Could not look" is never "not there"."""

    PRESENT = auto()
    ABSENT = auto()
    FOREIGN = auto()  # the external port is somebody else's
    UNKNOWN = auto()


class Outside(Enum):
    """What stands at a mapping's endpoint."""

    OUR_DOOR = auto()
    NOBODY = auto()
    ANOTHER_SERVER = auto()


class Wish(Struct, frozen=True):
    """The door as the gateway of `network` should forward to it. `chosen`: by no other port."""

    network: Network
    internal_port: int
    external_port: int
    chosen: bool = False


# Requests to the gateway. Each is answered by an event, or was cancelled as the door closed.


class Close(Struct, frozen=True):
    """Delete it, see it gone, erase it. `loss` is for the history: why it is to be re-created."""

    mapping: Mapping
    loss: str = ""


class Open(Struct, frozen=True):
    """Request a new mapping, without these protocols."""

    wish: Wish
    without: frozenset[str] = frozenset()


class Renew(Struct, frozen=True):
    mapping: Mapping


class Check(Struct, frozen=True):
    mapping: Mapping


class Sweep(Struct, frozen=True):
    """Remove what earlier daemons left in `network`, except for the external ports `keep`."""

    network: Network
    keep: frozenset[int]


Request = Close | Open | Renew | Check | Sweep


# Other actions.


class Record(Struct, frozen=True):
    """Write it to the journal."""

    mapping: Mapping


class Erase(Struct, frozen=True):
    """Remove it from the journal."""

    mapping: Mapping


class Judge(Struct, frozen=True):
    """Remember for good of the network's router whether it honours internal ports."""

    network: str
    honours: bool


class LookFromOutside(Struct, frozen=True):
    """Connect to the mapping's endpoint; the answer, if one comes, is Reflected."""

    mapping: Mapping


class Note(Struct, frozen=True):
    """Write a line of history."""

    kind: str
    text: str
    data: Map[str, Any] = field(default_factory=dict)


class Tell(Struct, frozen=True):
    """The guests' endpoint is this. `first`: the answer to `invite` reports it."""

    way: HostPort
    first: bool


class CloseSecond(Struct, frozen=True):
    """Have the mappings on a second router closed before the ones that they lead to."""


class Again(Struct, frozen=True):
    """Have another round soon."""


class Fail(Struct, frozen=True):
    """The round ends here, with the most telling of these."""

    problems: tuple[PairingError, ...]


class Distrust(Struct, frozen=True):
    """The round ends here: this gateway hides its MAC, and may be another one."""

    gateway: str


class NobodyToAsk(Struct, frozen=True):
    """The round ends here: this network has no gateway."""


End = Fail | Distrust | NobodyToAsk
Effect = Record | Erase | Judge | LookFromOutside | Note | Tell | Again | End
Action = Request | CloseSecond | Effect


# Events of a round, in this order.


class Journaled(Struct, frozen=True):
    """What the journal holds now, of all networks."""

    entries: tuple[Mapping, ...]


class Woke(Struct, frozen=True):
    """The machine has slept for this many seconds since the last round."""

    asleep: float


class Moved(Struct, frozen=True):
    """The machine is in this network now; None for no network."""

    network: Network | None


class Wished(Struct, frozen=True):
    """The open door's port and the external one; None where no mapping is wanted. `chosen`: the
    host has named the external one. `hole`: it must serve for a hole in the provider's NAT.
    `occupied`: a guest is in.
    """

    ports: tuple[int, int] | None
    chosen: bool = False
    hole: bool = False
    occupied: bool = False


class Clear(Struct, frozen=True):
    """Close what does not serve."""


class Serve(Struct, frozen=True):
    """Open, renew or check: one of them at most."""


class Settled(Struct, frozen=True):
    """All is done. The door's port, if one is open; the endpoint that the host heard of last, and
    the user's name for this network.
    """

    door: int | None
    announced: HostPort | None
    hostname: str = ""


# Events that answer a request.


class Granted(Struct, frozen=True):
    request: Open | Renew
    mapping: Mapping


class Looked(Struct, frozen=True):
    """Presence.UNKNOWN is Silent."""

    mapping: Mapping
    presence: Literal[Presence.PRESENT, Presence.ABSENT, Presence.FOREIGN]


class Closed(Struct, frozen=True):
    request: Close


class Swept(Struct, frozen=True):
    count: int


class Refused(Struct, frozen=True):
    """The gateway answered, and did not do it."""

    request: Request
    problem: PairingError


class Silent(Struct, frozen=True):
    """The gateway did not answer; the request may have been carried out."""

    request: Request
    problem: PairingError


# Events at any time.


class GuestCame(Struct, frozen=True):
    """A guest logged in from this address, through the door on this port."""

    peer: str
    door: int | None


class StrangerCame(Struct, frozen=True):
    """Somebody connected from this address, to the door on this port, and need not have said a
    word. Scanners do.
    """

    peer: str
    door: int | None


class Reflected(Struct, frozen=True):
    mapping: Mapping
    seen: Outside


class Announced(Struct, frozen=True):
    """The gateway, or somebody in its name, says that it has restarted. To be checked."""


RoundEvent = Journaled | Woke | Moved | Wished | Clear | Serve | Settled
Answer = Granted | Looked | Closed | Swept | Refused | Silent
Notice = GuestCame | StrangerCame | Reflected | Announced
Event = RoundEvent | Answer | Notice
