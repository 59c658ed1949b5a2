"""The events of a mapping and the actions for it. `core.holding` has the rules."""

from __future__ import annotations

from collections.abc import Mapping as Map
from enum import Enum, auto
from typing import Any, Literal

from msgspec import Struct, field

from pairingd.core.model import HostPort, Mapping
from pairingd.core.network import Network
from pairingd.core.refusal import PairingError


class Presence(Enum):
    """The result of a look at the gateway. "Could not look" is never "absent"."""

    PRESENT = auto()
    ABSENT = auto()
    FOREIGN = auto()  # another client has the external port
    UNKNOWN = auto()


class Outside(Enum):
    """What answers at a mapping's endpoint."""

    OUR_DOOR = auto()
    NOBODY = auto()
    ANOTHER_SERVER = auto()


class Wish(Struct, frozen=True):
    """The mapping to request of the gateway of `network`. `chosen`: with no other port."""

    network: Network
    internal_port: int
    external_port: int
    chosen: bool = False


# Requests to the gateway. An event answers each, unless the closing door cancelled it.


class Close(Struct, frozen=True):
    """Delete it, check that it is gone, erase it. `loss`: for the history, why to re-create it."""

    mapping: Mapping
    loss: str = ""


class Open(Struct, frozen=True):
    """Request a new mapping, without these protocols."""

    wish: Wish
    without: frozenset[str] = frozenset()


class Renew(Struct, frozen=True):
    """`exact`: at its external port alone."""

    mapping: Mapping
    exact: bool = False


class Check(Struct, frozen=True):
    """`quick`: only whether the gateway shows it, not whether its external address is the same."""

    mapping: Mapping
    quick: bool = False


class Sweep(Struct, frozen=True):
    """Remove mappings that earlier daemons left in `network`, except external ports `keep`."""

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
    """Save for this network's router whether it honours internal ports."""

    network: str
    honours: bool


class LookFromOutside(Struct, frozen=True):
    """Connect to the mapping's endpoint; the answer, if there is one, is Reflected."""

    mapping: Mapping


class Note(Struct, frozen=True):
    """Add a line to the history."""

    kind: str
    text: str
    data: Map[str, Any] = field(default_factory=dict)


class Tell(Struct, frozen=True):
    """Report the guests' endpoint. `first`: the answer to `invite` does so."""

    address: HostPort
    first: bool


class CloseSecond(Struct, frozen=True):
    """Close the mappings on a second router before those that they lead to."""


class Again(Struct, frozen=True):
    """Run another round soon."""


class Fail(Struct, frozen=True):
    """End the round here, with the most informative of these."""

    problems: tuple[PairingError, ...]


class Distrust(Struct, frozen=True):
    """End the round here: this gateway hides its MAC, and may be another one."""

    gateway: str


class NobodyToAsk(Struct, frozen=True):
    """End the round here: this network has no gateway."""


End = Fail | Distrust | NobodyToAsk
Effect = Record | Erase | Judge | LookFromOutside | Note | Tell | Again | End
Action = Request | CloseSecond | Effect


# Events of a round, in this order.


class Journaled(Struct, frozen=True):
    """The journal now, of all networks."""

    entries: tuple[Mapping, ...]


class Woke(Struct, frozen=True):
    """The machine has slept for this many seconds since the last round."""

    asleep: float


class Moved(Struct, frozen=True):
    """The machine is in this network now; None for no network."""

    network: Network | None


class Wished(Struct, frozen=True):
    """`ports`: the open door's and the external one; None for no mapping. `chosen`: the host has
    named the external one. `hole`: it must serve a hole in the provider's NAT. `occupied`: a guest
    is in.
    """

    ports: tuple[int, int] | None
    chosen: bool = False
    hole: bool = False
    occupied: bool = False


class Clear(Struct, frozen=True):
    """Close the mappings that do not serve the wish."""


class Serve(Struct, frozen=True):
    """Open, renew or check at most one."""


class Settled(Struct, frozen=True):
    """All requests are done. `door`: its port, if open; `announced`: the endpoint last reported to
    the host; `hostname`: the user's name for this network.
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
    """The gateway answered with an error."""

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
    """Somebody, such as a scanner, connected from this address to the door on this port, perhaps
    without a byte.
    """

    peer: str
    door: int | None


class Reflected(Struct, frozen=True):
    mapping: Mapping
    seen: Outside


class Announced(Struct, frozen=True):
    """The gateway, or a host with a forged address, announces its restart; check it."""


RoundEvent = Journaled | Woke | Moved | Wished | Clear | Serve | Settled
Answer = Granted | Looked | Closed | Swept | Refused | Silent
Notice = GuestCame | StrangerCame | Reflected | Announced
Event = RoundEvent | Answer | Notice
