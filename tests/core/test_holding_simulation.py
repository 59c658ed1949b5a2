"""A mapping through random days: moves, sleep, crashes, and routers that lie and fall silent.

The promise: a mapping is journaled before it is there; no router gets a request about another
one's; nobody else's is touched; and a few rounds after all is well again there is one mapping, to
the door, or none where the door is closed.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pairingd.core.holding_events import (
    Announced,
    Close,
    GuestCame,
    Moved,
    Open,
    Outside,
    Reflected,
    Sweep,
)
from pairingd.core.holding_state import MAPPING, PINHOLE, SECOND, Holding, Policy
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from tests.core.make import HOME, OFFICE, START
from tests.core.simulated_gateway import PROTOCOLS, Lane, Mood, RoundEnded

GARAGE = Network("eth0", "10.0.0.7", "10.0.0.1")
PLACES = {"home": HOME, "office": OFFICE, "garage": GARAGE}
MOODS: tuple[Mood, ...] = ("well", "silent", "deaf", "gone", "refuses", "drops", "keeps")
WELL_AFTER = 4  # rounds


class Crash(Exception):
    """kill -9, or a failure of the disk, in the middle of a round."""


class Day(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from((MAPPING, PINHOLE, SECOND)))
    def begin(self, *, policy: Policy) -> None:
        self.budget: int | None = None
        behind = "10.9.9.9" if policy is SECOND else ""
        self.places = {name: replace(place, behind=behind) for name, place in PLACES.items()}
        self.lane = Lane(dict(self.places), self.effect, float(START), place="home")
        self.lane.holding = Holding(policy)
        self.ports: tuple[int, int] | None = None
        self.strangers: dict[str, set[int]] = {place: set() for place in PLACES}

    def effect(self) -> None:
        if self.budget is not None:
            if self.budget == 0:
                raise Crash
            self.budget -= 1

    # What the world does.

    @rule(ports=st.sampled_from([None, (40000, 22), (40000, 22), (40001, 22)]))
    def the_door_opens_or_closes(self, ports: tuple[int, int] | None) -> None:
        self.ports = ports

    @rule(seconds=st.floats(0.1, 900))
    def time_passes(self, seconds: float) -> None:
        self.lane.now += seconds

    @rule(seconds=st.floats(1, 7200))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.lane.now -= seconds

    @rule(place=st.sampled_from([*PLACES, None]))
    def the_machine_moves(self, place: str | None) -> None:
        self.lane.place = place

    @precondition(lambda self: self.lane.place is not None)
    @rule(protocol=st.sampled_from(PROTOCOLS), mood=st.sampled_from(MOODS))
    def the_routers_mood_changes(self, protocol: str, mood: Mood) -> None:
        self.lane.router().moods[protocol] = mood

    @precondition(lambda self: self.lane.place is not None)
    @rule(stranger=st.sampled_from([None, 22, 40000]))
    def the_router_restarts(self, stranger: int | None) -> None:
        """And a stranger takes a port before we come."""
        place, router = str(self.lane.place), self.lane.router()
        router.rows.clear()
        self.strangers[place].clear()
        if stranger:
            router.rows[stranger] = "stranger", float("inf")
            self.strangers[place].add(stranger)

    @rule()
    def the_garages_gateway_shows_its_mac(self) -> None:
        garage = replace(self.places["garage"], gateway_mac="02:00:00:00:00:03")
        self.lane.networks["garage"] = garage

    @rule()
    def a_restart_is_announced(self) -> None:
        self.lane.step(Announced())

    @rule(seen=st.sampled_from(Outside))
    def the_endpoint_is_looked_at(self, seen: Outside) -> None:
        held = self.lane.holding.current(self.ports[0] if self.ports else None, self.lane.now)
        if held:
            self.lane.step(Reflected(held, seen))

    @rule()
    def a_guest_comes(self) -> None:
        self.lane.step(GuestCame("9.9.9.9", self.ports[0] if self.ports else None))

    # What the daemon does.

    @rule(slept=st.sampled_from([0.0, 0.0, 5.0, 3600.0]))
    def a_round(self, slept: float) -> None:
        self.lane.now += slept
        before = len(self.lane.journal)
        self.lane.round(self.ports, slept=slept)
        self.requests_are_in_order_and_of_this_network()
        assert len(self.lane.journal) <= before + len(PROTOCOLS)

    @rule(budget=st.integers(0, 8))
    def a_round_is_cut_short_by_a_crash(self, budget: int) -> None:
        self.budget = budget
        try:
            self.lane.round(self.ports)
        except Crash:
            self.lane.crash()
        finally:
            self.budget = None

    @precondition(
        lambda self: any(
            entry.network == self.places["home"].identity for entry in self.journaled()
        )
    )
    @rule()
    def the_home_gateway_hides_its_mac(self) -> None:
        """For all we know it is the office's."""
        self.lane.asked.clear()
        try:
            self.lane.follow(Moved(replace(self.places["home"], gateway_mac="")))
        except RoundEnded:
            pass
        else:
            raise AssertionError("it was trusted")
        assert self.lane.asked == []

    @rule()
    def all_is_well_again(self) -> None:
        for router in self.lane.routers.values():
            router.heal()
        for _ in range(WELL_AFTER):
            if self.lane.round(self.ports, slept=3600) and self.lane.idle():
                break
            self.requests_are_in_order_and_of_this_network()
        else:
            assert self.lane.place is None or self.lied()
        self.there_is_one_mapping_or_none()

    @precondition(lambda self: self.ports is not None and self.lane.place and not self.lied())
    @rule(after=st.floats(0, 300))
    def a_lost_mapping_is_back_within_a_minute(self, after: float) -> None:
        self.all_is_well_again()
        until = self.lane.now + after
        while (due := self.lane.deadline()) and due < until:
            assert due > self.lane.now, "a round left its deadline as it was"
            self.lane.now = due
            self.lane.round(self.ports)
        self.lane.now = until
        lost_at = until
        self.lane.router().rows.clear()
        self.strangers[str(self.lane.place)].clear()
        while not self.lane.router().rows:
            self.lane.now = max(self.lane.deadline() or 0.0, self.lane.now)
            self.lane.round(self.ports)
            assert self.lane.now <= lost_at + 60
        self.there_is_one_mapping_or_none()

    # What must hold.

    def lied(self) -> bool:
        """Whether another server was seen where our door should be, by this network's router."""
        network = self.lane.at()
        return network is not None and network.identity in self.lane.lied

    def journaled(self) -> list[Mapping]:
        return list(self.lane.journal.values())

    def requests_are_in_order_and_of_this_network(self) -> None:
        here = self.lane.holding.network_id
        for request in self.lane.asked:
            match request:
                case Open(wish):
                    assert wish.network.identity == here
                case Sweep(network):
                    assert network.identity == here
                case _:
                    assert request.mapping.network == here
        opened = [n for n, request in enumerate(self.lane.asked) if isinstance(request, Open)]
        closed = [n for n, request in enumerate(self.lane.asked) if isinstance(request, Close)]
        assert len(opened) <= 1
        closing = {self.lane.asked[n].mapping.id for n in closed}  # type: ignore[union-attr]
        assert not closing & self.lane.foreign
        assert all(close < open_ for close in closed for open_ in opened)

    def there_is_one_mapping_or_none(self) -> None:
        network = self.lane.at()
        if network is None:
            return
        entries = [entry for entry in self.journaled() if entry.network == network.identity]
        owners = [owner for owner, _ in self.lane.router().rows.values() if owner != "stranger"]
        expected = self.ports is not None and not self.lied()
        assert len(entries) == len(owners) == expected
        if self.ports and expected:
            [entry] = entries
            assert owners == [entry.id]
            assert entry.internal_port == self.ports[0]
            assert self.lane.holding.current(self.ports[0], self.lane.now) == entry
            assert self.lane.holding.seen(entry) or self.lane.holding.is_unsteady(entry)
            due = self.lane.deadline()
            assert due is not None
            assert self.lane.now < due <= self.lane.now + 60

    @invariant()
    def what_is_on_a_router_is_in_the_journal(self) -> None:
        for router in self.lane.routers.values():
            owners = {owner for owner, _ in router.rows.values()} - {"stranger"}
            assert owners <= set(self.lane.journal)

    @invariant()
    def what_is_a_strangers_stays(self) -> None:
        for place, router in self.lane.routers.items():
            kept = {port for port, (owner, _) in router.rows.items() if owner == "stranger"}
            assert kept == self.strangers[place]


TestDay = Day.TestCase
TestDay.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
