"""What can happen to a mapping, and what can be requested for it. `core.holding` has the law."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal

from pairingd.core.model import Mapping, WayIn
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


@dataclass(frozen=True, slots=True)
class Wish:
    """The door as the gateway of `network` should forward to it. `chosen`: by no other port."""

    network: Network
    internal_port: int
    external_port: int
    chosen: bool = False


# Requests to the gateway. Each is answered by an event, or was cancelled as the door closed.


@dataclass(frozen=True, slots=True)
class Close:
    """Delete it, see it gone, erase it. `loss` is for the history: why it is to be re-created."""

    mapping: Mapping
    loss: str = ""


@dataclass(frozen=True, slots=True)
class Open:
    """Request a new mapping, without these protocols."""

    wish: Wish
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Renew:
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Check:
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Sweep:
    """Remove what earlier daemons left in `network`, except for the external ports `keep`."""

    network: Network
    keep: frozenset[int]


Request = Close | Open | Renew | Check | Sweep


# Other actions.


@dataclass(frozen=True, slots=True)
class Record:
    """Write it to the journal."""

    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Erase:
    """Remove it from the journal."""

    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Judge:
    """Remember for good of the network's router whether it honours internal ports."""

    network: str
    honours: bool


@dataclass(frozen=True, slots=True)
class LookFromOutside:
    """Connect to the mapping's endpoint; the answer, if one comes, is Reflected."""

    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Note:
    """Write a line of history."""

    kind: str
    text: str
    data: Map[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tell:
    """The guests' endpoint is this. `first`: the answer to `invite` reports it."""

    way: WayIn
    first: bool


@dataclass(frozen=True, slots=True)
class CloseSecond:
    """Have the mappings on a second router closed before the ones that they lead to."""


@dataclass(frozen=True, slots=True)
class Again:
    """Have another round soon."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The round ends here, with the most telling of these."""

    problems: tuple[PairingError, ...]


@dataclass(frozen=True, slots=True)
class Distrust:
    """The round ends here: this gateway hides its MAC, and may be another one."""

    gateway: str


@dataclass(frozen=True, slots=True)
class NobodyToAsk:
    """The round ends here: this network has no gateway."""


End = Fail | Distrust | NobodyToAsk
Effect = Record | Erase | Judge | LookFromOutside | Note | Tell | Again | End
Action = Request | CloseSecond | Effect


# Events of a round, in this order.


@dataclass(frozen=True, slots=True)
class Journaled:
    """What the journal holds now, of all networks."""

    entries: tuple[Mapping, ...]


@dataclass(frozen=True, slots=True)
class Woke:
    """The machine has slept for this many seconds since the last round."""

    asleep: float


@dataclass(frozen=True, slots=True)
class Moved:
    """The machine is in this network now; None for no network."""

    network: Network | None


@dataclass(frozen=True, slots=True)
class Wished:
    """The open door's port and the external one; None where no mapping is wanted. `chosen`: the
    host has named the external one. `hole`: it must serve for a hole in the provider's NAT.
    """

    ports: tuple[int, int] | None
    chosen: bool = False
    hole: bool = False


@dataclass(frozen=True, slots=True)
class Clear:
    """Close what does not serve."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Open, renew or check: one of them at most."""


@dataclass(frozen=True, slots=True)
class Settled:
    """All is done. The door's port, if one is open; the endpoint that the host heard of last, and
    the user's name for this network.
    """

    door: int | None
    announced: WayIn | None
    hostname: str = ""


# Events that answer a request.


@dataclass(frozen=True, slots=True)
class Granted:
    request: Open | Renew
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Looked:
    """Presence.UNKNOWN is Silent."""

    mapping: Mapping
    presence: Literal[Presence.PRESENT, Presence.ABSENT, Presence.FOREIGN]


@dataclass(frozen=True, slots=True)
class Closed:
    request: Close


@dataclass(frozen=True, slots=True)
class Swept:
    count: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway answered, and did not do it."""

    request: Request
    problem: PairingError


@dataclass(frozen=True, slots=True)
class Silent:
    """The gateway did not answer; the request may have been carried out."""

    request: Request
    problem: PairingError


# Events at any time.


@dataclass(frozen=True, slots=True)
class GuestCame:
    """A guest logged in from this address, through the door on this port."""

    peer: str
    door: int | None


@dataclass(frozen=True, slots=True)
class StrangerCame:
    """Somebody connected from this address, to the door on this port, and need not have said a
    word. Scanners do.
    """

    peer: str
    door: int | None


@dataclass(frozen=True, slots=True)
class Reflected:
    mapping: Mapping
    seen: Outside


@dataclass(frozen=True, slots=True)
class Announced:
    """The gateway, or somebody in its name, says that it has restarted. To be checked."""


RoundEvent = Journaled | Woke | Moved | Wished | Clear | Serve | Settled
Answer = Granted | Looked | Closed | Swept | Refused | Silent
Notice = GuestCame | StrangerCame | Reflected | Announced
Event = RoundEvent | Answer | Notice
