"""The state of the mappings of one policy. `core.holding` changes it."""

from __future__ import annotations

from collections.abc import Mapping as Map
from typing import Literal

from msgspec import Struct, field

from pairingd.core.cgnat import FIRST_PORT
from pairingd.core.holding_events import Wish
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.core.refusal import PairingError

# Seconds between looks at a held mapping; with the time to re-create it, less than a minute.
CHECK_EVERY_S = 55.0
# While a guest is in, to send fewer packets: a quick look, if the protocol has one.
QUICK_CHECK_EVERY_S = 60.0
CHECK_IN_USE_EVERY_S = 150.0
CHECK_AT_LEAST_EVERY_S = 5.0  # halved to this while it keeps being lost
UNSTEADY_LOSSES = 2
STEADY_AFTER_S = 600.0  # without a loss
EARLY_LOOKS_S = (1.0, 5.0, 30.0)  # after its creation: some routers drop a new one soon

Endpoint = tuple[str, str, int]  # mapping id, external host and port; the last two may change


def endpoint(held: Mapping) -> Endpoint:
    return held.id, held.external_host, held.external_port


class Policy(Struct, frozen=True):
    """The differences between an IPv4 mapping, one on a second router, and an IPv6 pinhole.

    `same_port`: the external port is the door's own, as nothing is translated. `primary`: its
    failures are reported to the host. `announced`: guests' commands have its endpoint, so changes
    are reported, too. `shared`: to the gateway we and others are one client, so a mapping that
    looks like ours may be theirs, and pairingd sweeps nothing.
    """

    opened: str  # text for the history
    longest_retry_s: float
    router: str = "the router"
    same_port: bool = False
    primary: bool = False
    announced: bool = False
    shared: bool = False


MAPPING = Policy("the router forwards port {port} to the door", 60.0, primary=True, announced=True)
# Its door is the port that the first router forwards.
SECOND = Policy(
    "the second router forwards port {port} to the first one",
    600.0,
    router="the second router",
    announced=True,
    shared=True,
)
PINHOLE = Policy("the router lets IPv6 through to port {port}, the door", 600.0, same_port=True)


class Look(Struct, frozen=True):
    """`since`: when a mapping was created, or confirmed to a new daemon. `last`: when last seen.

    `answered`: the last look was. `missed`: its loss is in the history, and it is requested again.
    `losses` count those before the lease's end, the last at `lost_at`; each halves `every`, also
    while a guest is in.
    """

    since: float
    last: float
    answered: bool = True
    missed: bool = False
    losses: int = 0
    lost_at: float = 0.0
    every: float = CHECK_EVERY_S

    def next(self, in_use_every_s: float | None = None) -> float:
        early = (self.since + after for after in EARLY_LOOKS_S)
        every = self.every if in_use_every_s is None or self.losses else in_use_every_s
        soonest = self.last + every
        return min((at for at in (*early, soonest) if at > self.last), default=soonest)

    @property
    def unsteady(self) -> bool:
        return self.losses >= UNSTEADY_LOSSES

    def seen(self, now: float) -> Look:
        """Return the look after it was seen at `now`, which may be before `since`."""
        steady = not 0 <= now - self.lost_at < STEADY_AFTER_S
        look = Look(min(self.since, now), now)
        if steady:
            return look
        return replace(look, losses=self.losses, lost_at=self.lost_at, every=self.every)

    def lost(self, now: float) -> Look:
        """Return the look after a loss before the lease's end."""
        every = max(self.every / 2, CHECK_AT_LEAST_EVERY_S)
        return replace(self, missed=True, losses=self.losses + 1, lost_at=now, every=every)


class Evidence(Struct, frozen=True):
    """Proofs of endpoints beyond the router's word."""

    guest: Endpoint | None = None  # a guest came through it from the internet
    stranger: Endpoint | None = None  # somebody connected to it from the internet
    hairpin: Endpoint | None = None  # our own door was seen there
    hairpin_network: str | None = None  # its router shows us our own door
    unreachable: frozenset[str] = frozenset()  # ids of mappings where nobody answered since
    misled: frozenset[str] = frozenset()  # ids of mappings that lead to another server

    @property
    def against(self) -> frozenset[str]:
        return self.unreachable | self.misled


class Holding(Struct, frozen=True):
    """`looks` are by mapping id, empty at a start. `silent` (by protocol) and `unclosed` are the
    failures of this round's Close. `read_back`: protocols by which the gateway shows a mapping.
    """

    policy: Policy = MAPPING
    journal: tuple[Mapping, ...] = ()
    network: Network | None = None
    ports: tuple[int, int] | None = None  # of the wish: the door's, the external one
    chosen: bool = False  # by the host, the external one
    hole: bool = False  # in the provider's NAT: guests get its address, not the mapping's
    occupied: bool = False  # a guest is in
    looks: Map[str, Look] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    swept: frozenset[str] = frozenset()  # identities of networks
    silent: Map[str, PairingError] = field(default_factory=dict)
    unclosed: PairingError | None = None
    read_back: frozenset[str] = frozenset()

    @property
    def own(self) -> tuple[Mapping, ...]:
        """The entries of the journal that this policy's machine handles."""
        return tuple(entry for entry in self.journal if entry.beyond == self.policy.shared)

    @property
    def network_id(self) -> str | None:
        return self.network.identity if self.network and self.network.gateway else None

    @property
    def wish(self) -> Wish | None:
        if self.ports is None or self.network is None or not self.network.gateway:
            return None
        door, external = self.ports
        wished = door if self.policy.same_port else external
        return Wish(self.network, door, wished, self.chosen)

    def next_look(self, held: Mapping) -> float:
        """When the next look at a mapping that was seen before is due."""
        in_use_every_s = QUICK_CHECK_EVERY_S if self.is_quick(held) else CHECK_IN_USE_EVERY_S
        return self.looks[held.id].next(in_use_every_s if self.occupied else None)

    def is_quick(self, held: Mapping) -> bool:
        """Whether to look only at what the gateway shows of it."""
        shown = held.protocol in self.read_back and not held.unshown
        return self.occupied and self.policy.primary and shown

    def is_unsteady(self, held: Mapping) -> bool:
        """Whether the router keeps losing it."""
        look = self.looks.get(held.id)
        return look is not None and look.unsteady

    def current(self, door: int | None, now: float) -> Mapping | None:
        """The held mapping to the open door in this network, as last seen."""
        for entry in self.journal:
            if (
                entry.network == self.network_id
                and entry.internal_port == door
                and entry.is_held(now)
            ):
                return entry
        return None

    def serving(self, now: float) -> Mapping | None:
        """The mapping that fulfils the wish."""
        wish = self.wish
        for entry in self.journal:
            if (
                wish
                and entry.network == wish.network.identity
                and entry.internal_host == wish.network.client
                and entry.internal_port == wish.internal_port
                and not (self.hole and entry.external_port < FIRST_PORT)
                and entry.id not in self.evidence.against
                and entry.is_held(now)
            ):
                return entry
        return None

    @property
    def lost_meanwhile(self) -> bool:
        """Whether evidence of this round speaks against a mapping here: Clear closes all others."""
        return any(
            entry.network == self.network_id and entry.id in self.evidence.against
            for entry in self.journal
        )

    def seen(self, held: Mapping) -> Literal["guest", "stranger", "hairpin", "answered"] | None:
        """The best evidence of its present endpoint; `answered`: its last look was, and it is
        not unsteady.
        """
        if endpoint(held) == self.evidence.guest:
            return "guest"
        if endpoint(held) == self.evidence.stranger:
            return "stranger"
        if endpoint(held) == self.evidence.hairpin:
            return "hairpin"
        look = self.looks.get(held.id)
        return "answered" if look and look.answered and not look.unsteady else None
