"""Routers that refuse, lie, fall silent and forget, and a lane that asks them; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, field

from pairingd.core.holding import next_deadline, step
from pairingd.core.holding_events import (
    Action,
    Check,
    Clear,
    Close,
    Closed,
    Distrust,
    Erase,
    Event,
    Fail,
    Granted,
    Journaled,
    Judge,
    Looked,
    Moved,
    NobodyToAsk,
    Open,
    Presence,
    Record,
    Refused,
    Renew,
    Request,
    Serve,
    Settled,
    Silent,
    Sweep,
    Swept,
    Wished,
    Woke,
)
from pairingd.core.holding_state import Holding
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.core.refusal import PairingError
from tests.core.make import mapping

LEASE = 600.0
PROTOCOLS = ("pcp", "upnp")
Mood = Literal["well", "silent", "deaf", "gone", "refuses", "drops", "keeps"]


class Router(Struct):
    """`rows` are by external port: whose each is, a mapping's id or a stranger, and its lease's end.

    `silent` carries requests out and does not answer; `deaf` does neither. `drops` grants and makes
    nothing; `keeps` does not delete.
    """

    rows: dict[int, tuple[str, float]] = field(default_factory=dict)
    moods: dict[str, Mood] = field(default_factory=lambda: dict.fromkeys(PROTOCOLS, "well"))

    def heal(self) -> None:
        self.moods = dict.fromkeys(PROTOCOLS, "well")

    def expire(self, now: float) -> None:
        self.rows = {port: row for port, row in self.rows.items() if row[1] > now}

    def owner(self, port: int) -> str | None:
        return self.rows[port][0] if port in self.rows else None

    def answers(self, protocol: str, *no: Mood) -> None:
        """Raises PairingError as an adapter does."""
        mood = self.moods[protocol]
        if mood in {"silent", "deaf"}:
            raise PairingError("router-silent", "", "")
        if mood == "gone":
            raise PairingError("no-gateway", "", "")
        if mood in no:
            raise PairingError("router-failed", "", "")


class RoundEnded(Exception):
    """By Fail, Distrust or NobodyToAsk."""


class Lane(Struct):
    """As reconcile.mapping is. `journal` and `routers` outlast a crash, `holding` does not.

    `effect` is called before each step that a crash may come between, and raises for one.
    """

    networks: dict[str, Network]
    effect: Callable[[], None] = lambda: None
    now: float = 0.0
    holding: Holding = field(default_factory=Holding)
    journal: dict[str, Mapping] = field(default_factory=dict)
    routers: dict[str, Router] = field(default_factory=dict)  # as `networks`, by where they stand
    place: str | None = None  # where the machine really is
    asked: list[Request] = field(default_factory=list)  # in this round
    foreign: set[str] = field(default_factory=set)  # ids whose port was a stranger's, in this round
    made: int = 0
    lied: set[str] = field(default_factory=set)  # networks whose router was judged, for good

    def __post_init__(self) -> None:
        self.routers = {place: Router() for place in self.networks}

    def crash(self) -> None:
        self.holding = Holding(self.holding.policy, tuple(self.journal.values()))

    def at(self) -> Network | None:
        return self.networks[self.place] if self.place else None

    def router(self) -> Router:
        assert self.place
        self.routers[self.place].expire(self.now)
        return self.routers[self.place]

    def round(self, ports: tuple[int, int] | None, *, slept: float = 0.0) -> bool:
        """Whether it came to its end."""
        self.asked.clear()
        self.foreign.clear()
        events = (Woke(slept), Moved(self.at()), Wished(ports), Clear(), Serve())
        try:
            for event in (*events, Settled(ports[0] if ports else None, None)):
                self.follow(event)
        except RoundEnded:
            return False
        return True

    def deadline(self) -> float | None:
        return next_deadline(self.holding, self.now)

    def idle(self) -> bool:
        """Whether a round at once would do nothing."""
        state, closing = step(self.holding, Clear(), self.now)
        return not closing and not step(state, Serve(), self.now)[1]

    def follow(self, event: Event) -> None:
        for action in self.step(event):
            self.perform(action)

    def step(self, event: Event) -> tuple[Action, ...]:
        read = Journaled(tuple(self.journal.values()))
        self.holding, _ = step(self.holding, read, self.now)
        self.holding, actions = step(self.holding, event, self.now)
        return actions

    def perform(self, action: Action) -> None:
        match action:
            case Record(entry):
                self.effect()
                self.journal[entry.id] = entry
            case Erase(entry):
                self.effect()
                del self.journal[entry.id]
            case Judge(network, honours=False):
                self.lied.add(network)
            case Fail() | Distrust() | NobodyToAsk():
                raise RoundEnded
            case Close() | Open() | Renew() | Check() | Sweep():
                self.asked.append(action)
                self.follow(self.answer(action))
            case _:
                pass

    def answer(self, request: Request) -> Event:
        if isinstance(request, Open | Renew) and self.holding.network_id in self.lied:
            return Refused(request, PairingError("router-lied", "", ""))
        try:
            return self.carry_out(request)
        except PairingError as problem:
            silent = problem.code == "router-silent"
            return Silent(request, problem) if silent else Refused(request, problem)

    def carry_out(self, request: Request) -> Event:
        router = self.router()
        match request:
            case Open(wish, without):
                return Granted(request, self.open(wish.internal_port, wish.external_port, without))
            case Renew(entry):
                self.effect()
                if router.moods[entry.protocol] == "silent":
                    self.add(entry)
                router.answers(entry.protocol, "refuses")
                if not self.add(entry):
                    raise PairingError("port-taken", "", "")
                self.effect()
                return Granted(request, self.grant(entry))
            case Check(entry):
                return self.check(entry)
            case Close(entry):
                self.effect()
                if router.moods[entry.protocol] not in {"deaf", "gone", "keeps"}:
                    self.delete(entry)
                router.answers(entry.protocol)
                if router.owner(entry.external_port) == entry.id:
                    raise PairingError("router-lied", "", "")
                self.effect()
                del self.journal[entry.id]
                return Closed(request)
            case Sweep():
                return Swept(0)

    def check(self, entry: Mapping) -> Looked:
        self.router().answers(entry.protocol)
        owner = self.router().owner(entry.external_port)
        if owner in {entry.id, None}:
            return Looked(entry, Presence.PRESENT if owner else Presence.ABSENT)
        self.foreign.add(entry.id)
        return Looked(entry, Presence.FOREIGN)

    def open(self, door: int, port: int, without: frozenset[str]) -> Mapping:
        router, network = self.router(), self.at()
        assert network
        problem = PairingError("no-gateway", "", "")
        for protocol in PROTOCOLS:
            if protocol in without or router.moods[protocol] == "gone":
                continue
            self.made += 1
            free = next(
                candidate
                for candidate in (port, 50000, 50001)
                if router.owner(candidate) in {None, "-"}
            )
            entry = replace(
                mapping(id=f"m{self.made}", network=network.identity, internal_port=door),
                protocol=protocol,
                external_port=free,
                internal_host=network.client,
                granted_until=None,
                renew_at=None,
            )
            self.effect()
            self.journal[entry.id] = entry
            self.effect()
            if router.moods[protocol] == "silent":
                self.add(entry)
            try:
                router.answers(protocol, "refuses")
            except PairingError as error:
                problem = error
                if error.code != "router-silent":
                    del self.journal[entry.id]
                continue
            self.add(entry)
            self.effect()
            return self.grant(entry)
        raise problem

    def add(self, entry: Mapping) -> bool:
        router = self.router()
        if router.owner(entry.external_port) not in {None, entry.id}:
            return False
        if router.moods[entry.protocol] != "drops":
            router.rows[entry.external_port] = entry.id, self.now + LEASE
        return True

    def delete(self, entry: Mapping) -> None:
        if self.router().owner(entry.external_port) == entry.id:
            del self.router().rows[entry.external_port]

    def grant(self, entry: Mapping) -> Mapping:
        granted = replace(entry, granted_until=self.now + LEASE, renew_at=self.now + LEASE / 2)
        self.journal[entry.id] = granted
        return granted
