from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pairingd.core.admission import (
    FAIR_AFTER,
    KEPT_PLACES,
    LOGIN_UNDER_WAY,
    LONGEST_SILENCE,
    LONGEST_WAIT,
    MAX_PLACES,
    MAX_WAITING,
    PACE,
    PAUSED_AFTER,
    SILENCE,
    SILENT_PLACES,
    STALLED_AFTER,
    SUSPECT_PLACES,
    Admission,
    Decision,
    End,
    Progress,
    Refusal,
    Refuse,
    Start,
    Visitor,
)
from pairingd.core.penalties import FREE_FAILURES

GUEST = "203.0.113.7"
STRANGER = "198.51.100.1"


class Door:
    """Carries out what is decided, as the real one does. Logins and stalls are up to the test."""

    def __init__(self, shared: Iterable[str] = ()) -> None:
        self.admission = Admission(shared=frozenset(shared))
        self.now = 1000.0
        self.inside: dict[Visitor, Progress] = {}
        self.refused: dict[Visitor, Refusal] = {}

    def decide(self, room: int = MAX_WAITING) -> list[Decision]:
        decisions = self.admission.decide(self.now, self.look, room=room)
        for decision in decisions:
            visitor = decision.visitor
            match decision:
                case Start():
                    self.inside[visitor] = Progress(0.0, 0)
                case Refuse(_, reason):
                    self.refused[visitor] = reason
                    self.admission.left(visitor, self.now)
                case End(_, reason):
                    self.refused[visitor] = reason
        return decisions

    def look(self, visitor: Visitor) -> Progress | None:
        return self.inside.get(visitor)

    def comes(self, peer: str = GUEST, *, speaks: bool = True) -> Visitor:
        visitor = self.admission.arrive(peer, self.now)
        if speaks:
            self.admission.spoke(visitor)
        self.decide()
        return visitor

    def goes(self, visitor: Visitor) -> None:
        self.inside.pop(visitor, None)
        self.admission.left(visitor, self.now)
        self.decide()

    def enters(self, visitor: Visitor, *, guest: bool = True) -> None:
        del self.inside[visitor]
        self.admission.entered(visitor, guest=guest)
        self.decide()

    def stalls(self, visitor: Visitor, quiet: float = STALLED_AFTER, received: int = 20) -> None:
        self.inside[visitor] = Progress(quiet, received)

    def fails(self, peer: str, times: int, *, login: bool = False) -> None:
        for _ in range(times):
            self.admission.penalties.failed(peer, self.now, login=login)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.decide()


def strangers(number: int) -> list[str]:
    return [f"198.51.100.{n}" for n in range(1, number + 1)]


def full(door: Door, places: int = MAX_PLACES - KEPT_PLACES) -> list[Visitor]:
    """All places that strangers can have, each from an address of its own."""
    return [door.comes(peer) for peer in strangers(places)]


def test_an_identified_client_gets_a_place_at_once() -> None:
    door = Door()
    assert door.comes() in door.inside


def test_a_silent_peer_gets_no_place() -> None:
    door = Door()
    silent = door.comes(speaks=False)
    door.passes(SILENCE / 2)
    assert silent not in door.inside
    door.admission.spoke(silent)
    door.decide()
    assert silent in door.inside


def test_few_silent_peers_get_an_sshd_after_a_second_and_only_one_per_source() -> None:
    door = Door()
    silent = [door.comes(peer, speaks=False) for peer in (GUEST, GUEST, *strangers(4))]
    assert not door.inside
    assert door.admission.next_look(door.now) == door.now + SILENCE
    door.passes(SILENCE)
    assert list(door.inside) == [silent[0], silent[2]]
    assert len(door.inside) == SILENT_PLACES


def test_a_silent_peer_with_an_sshd_is_refused_unless_it_sends_an_identification() -> None:
    door = Door()
    mute, client = door.comes(speaks=False), door.comes(STRANGER, speaks=False)
    door.passes(SILENCE)
    door.inside[client] = Progress(0.0, 30)
    assert door.admission.next_look(door.now) == door.now + LONGEST_SILENCE
    door.passes(LONGEST_SILENCE)
    assert door.refused == {mute: Refusal.NO_IDENTIFICATION}
    assert client in door.inside


def test_200_silent_peers_do_not_keep_a_guest_out() -> None:
    door = Door()
    for peer in strangers(200):
        door.comes(peer, speaks=False)
        door.comes(GUEST, speaks=False)
    door.passes(SILENCE)
    assert door.comes() in door.inside


def test_a_waiting_client_is_refused_after_ten_seconds() -> None:
    door = Door()
    full(door)
    late, mute = door.comes(), door.comes(speaks=False)
    door.passes(LONGEST_WAIT - 1)
    assert not {late, mute} & set(door.refused)
    door.passes(1)
    assert door.refused[late] is Refusal.WAITED
    assert door.refused[mute] is Refusal.NO_IDENTIFICATION


def test_a_full_lobby_pushes_out_the_longest_silent_and_not_the_newcomer() -> None:
    door = Door()
    first = door.comes(STRANGER, speaks=False)
    for n in range(MAX_WAITING - 1):
        door.comes(f"192.0.2.{n}", speaks=False)
    assert not door.refused
    newcomer = door.comes(speaks=False)
    assert list(door.refused) == [first]
    assert newcomer not in door.refused


def test_a_client_that_has_just_come_is_not_pushed_out_for_being_silent_yet() -> None:
    door = Door()
    full(door)
    for n in range(MAX_WAITING - 1):
        door.comes(f"192.0.2.{n % 4}")
    guest = door.comes(GUEST, speaks=False)
    for n in range(20):
        door.comes(f"192.0.2.{n % 4}")
    assert guest not in door.refused


def test_a_full_lobby_pushes_out_the_address_with_the_most_entries() -> None:
    door = Door()
    full(door)
    guest = door.comes(GUEST)
    for n in range(MAX_WAITING - 2):
        door.comes(f"192.0.2.{n % 4}")
    assert not door.refused
    for n in range(20):
        door.comes(f"192.0.2.{n % 4}")
    assert guest not in door.refused
    assert set(door.refused.values()) == {Refusal.PUSHED_OUT}


def test_with_few_descriptors_the_lobby_is_small_and_never_closed() -> None:
    door = Door()
    silent = [door.comes(peer, speaks=False) for peer in strangers(8)]
    door.decide(room=-5)
    assert list(door.refused) == silent[:-1]


def test_a_freed_place_goes_to_the_client_that_has_waited_longest() -> None:
    door = Door()
    holders = full(door)
    longest, newest = door.comes("192.0.2.1"), door.comes("192.0.2.2")
    door.goes(holders[0])
    assert longest in door.inside
    assert newest not in door.inside


def test_the_next_place_goes_to_the_address_with_the_fewest() -> None:
    door = Door()
    office = [door.comes("192.0.2.1") for _ in range(MAX_PLACES - KEPT_PLACES + 5)]
    other = door.comes(GUEST)
    assert other not in door.inside
    door.goes(office[0])
    assert other in door.inside


def test_places_are_kept_for_addresses_that_a_guest_has_entered_from() -> None:
    door = Door()
    door.enters(door.comes(GUEST))
    full(door)
    assert door.comes("192.0.2.1") not in door.inside
    assert all(door.comes(GUEST) in door.inside for _ in range(KEPT_PLACES))


def test_a_stranger_at_a_known_address_does_not_keep_other_guests_out() -> None:
    door = Door()
    door.enters(door.comes(GUEST))
    held = [door.comes(GUEST) for _ in range(MAX_PLACES + 20)]
    other = door.comes("192.0.2.1")
    assert other not in door.inside
    door.goes(held[0])
    assert other in door.inside


def test_a_stalled_login_is_ended_for_a_waiting_client() -> None:
    door = Door()
    holders = full(door)
    for holder in holders:
        door.stalls(holder)
    guest = door.comes()
    (ended,) = door.refused
    assert door.refused[ended] is Refusal.STALLED
    door.passes(PACE)
    assert list(door.refused) == [ended]  # one place is wanted, and on its way
    door.goes(ended)
    assert guest in door.inside


def test_a_login_that_has_not_stalled_is_never_ended_for_another() -> None:
    door = Door()
    holders = full(door)
    for holder in holders:
        door.stalls(holder, quiet=STALLED_AFTER - 0.1)
    door.comes()
    door.passes(LONGEST_WAIT - 1)
    assert not door.refused
    assert door.admission.next_look(door.now) == door.now + PACE


def test_a_silent_login_is_ended_before_one_that_waits_at_the_fingerprint_prompt() -> None:
    door = Door()
    holders = full(door)
    reader, stuck = holders[0], holders[1]
    door.stalls(reader, quiet=PAUSED_AFTER - 0.1, received=2000)
    door.comes()
    assert not door.refused
    door.stalls(stuck)
    door.passes(PACE)
    assert list(door.refused) == [stuck]


def test_an_address_that_fails_has_few_places_and_comes_last() -> None:
    door = Door()
    door.fails(STRANGER, FREE_FAILURES + 5)
    seats = []
    for _ in range(SUSPECT_PLACES + 3):
        seats.append(door.comes(STRANGER))
        door.passes(0.01)
    assert len(door.inside) == SUSPECT_PLACES
    door.stalls(seats[0])
    door.passes(PACE)
    assert list(door.refused) == [seats[0]]  # one of its own must go, though places are free
    door.goes(seats[0])
    assert {seats[SUSPECT_PLACES], seats[-1]} & set(door.inside)
    door.goes(next(iter(door.inside)))
    assert {seats[SUSPECT_PLACES], seats[-1]} <= set(door.inside)  # the oldest and the newest


def test_failures_without_a_login_attempt_never_refuse_an_address() -> None:
    door = Door()
    door.fails(GUEST, 1000)
    assert door.comes(GUEST) in door.inside


def test_refused_logins_ban_an_address_unless_a_guest_has_entered_from_it() -> None:
    door = Door()
    door.fails(GUEST, FREE_FAILURES + 1, login=True)
    banned = door.comes(GUEST)
    assert door.refused == {banned: Refusal.BANNED}
    door.admission.penalties.know(GUEST)
    assert door.comes(GUEST) in door.inside


@pytest.mark.parametrize("near_end", ["127.0.0.1", "fd00::5"])
def test_behind_a_relay_refused_logins_do_not_limit_the_shared_address(near_end: str) -> None:
    door = Door(shared=[near_end])
    for _ in range(3 * FREE_FAILURES):
        visitor = door.comes(near_end)
        door.admission.login_refused(visitor)
        door.goes(visitor)
    seats = [door.comes(near_end) for _ in range(MAX_PLACES)]
    assert set(seats[: MAX_PLACES - KEPT_PLACES]) == set(door.inside)
    for visitor in seats:
        if visitor in door.inside:
            door.stalls(visitor)
    door.passes(PACE)
    assert len(door.refused) == KEPT_PLACES  # one for each who waits


def test_behind_a_relay_a_login_does_not_make_the_address_known() -> None:
    door = Door(shared=["127.0.0.1"])
    door.enters(door.comes("127.0.0.1"))
    assert not door.admission.penalties.is_known("127.0.0.1")


def test_no_look_is_scheduled_while_no_client_waits() -> None:
    door = Door()
    visitor = door.comes()
    assert door.admission.next_look(door.now) is None
    door.enters(visitor)
    assert door.admission.next_look(door.now) is None


def busy(door: Door, seconds: float) -> None:
    """Every login goes on, and none ends, for so long; who is to go does."""
    for _ in range(round(seconds / PACE)):
        door.passes(PACE)
        for visitor in [inside for inside in door.inside if inside.ending]:
            door.goes(visitor)


def holdings(door: Door) -> Counter[str]:
    return Counter(visitor.source for visitor in door.inside)


def crowds(most: int) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Addresses of either family, no two in one /64, each with a number of connections."""
    source = st.integers(0, 255).map(
        lambda n: f"2001:db8:0:{n:x}::{n}" if n % 2 else f"198.51.100.{n}"
    )
    number = st.integers(1, 3) | st.just(MAX_PLACES)
    entry = st.tuples(source, number)
    return st.lists(entry, min_size=1, max_size=most, unique_by=lambda entry: entry[0]).filter(
        lambda crowd: sum(times for _, times in crowd) < 4 * MAX_PLACES
    )


@settings(deadline=None, max_examples=10)
@given(crowds(MAX_PLACES - KEPT_PLACES - 1))
def test_fewer_addresses_than_places_keep_no_guest_out_however_busy_they_are(
    crowd: list[tuple[str, int]],
) -> None:
    door = Door()
    for peer, times in crowd:
        for _ in range(times):
            door.comes(peer)
    guest = door.comes(GUEST)
    busy(door, FAIR_AFTER + 2 * PACE)
    assert guest in door.inside


@settings(deadline=None, max_examples=10)
@given(crowds(MAX_PLACES - KEPT_PLACES), st.integers(1, 2**64 - 1))
@example(
    # The lobby pushes out so many of some sources that these become suspect.
    [
        *(("198.51.100.20", MAX_PLACES), ("2001:db8:0:49::73", 1), ("198.51.100.242", 2)),
        *(("198.51.100.190", 1), ("2001:db8:0:cf::207", 3), ("2001:db8:0:55::85", MAX_PLACES)),
        *(("198.51.100.228", MAX_PLACES), ("2001:db8:0:a3::163", 2), ("198.51.100.30", 1)),
    ],
    12649,
)
def test_no_address_holds_more_than_its_share_while_another_waits(
    crowd: list[tuple[str, int]], host: int
) -> None:
    """All of one IPv6 network are one: they come from any address in it. A suspect source takes no
    place from others.
    """
    door = Door()
    for peer, times in crowd:
        for n in range(times):
            network = peer.rpartition("::")[0]
            door.comes(f"{network}::{(host + n) % 2**64 or 1:x}" if network else peer)
    busy(door, 4 * (FAIR_AFTER + PACE))
    held = holdings(door)
    waiting = {visitor.source for visitor in door.admission._waiting()}
    for source in waiting:
        if door.admission.is_suspect(source, door.now):
            continue
        assert max(held.values()) <= held[source] + 1


def test_a_known_address_keeps_only_its_reserved_places() -> None:
    door = Door()
    door.enters(door.comes(GUEST))
    at_guests = [door.comes(GUEST) for _ in range(KEPT_PLACES + 1)]
    for n in range(MAX_PLACES):
        door.comes(f"192.0.2.{n}")
    busy(door, FAIR_AFTER + 2 * PACE)
    assert holdings(door)[GUEST] == KEPT_PLACES
    assert at_guests[0] not in door.inside  # the oldest
    assert door.refused[at_guests[0]] is Refusal.PUSHED_OUT


def test_a_pushed_out_connection_does_not_make_its_address_suspect() -> None:
    door = Door()
    office = [door.comes(STRANGER) for _ in range(MAX_PLACES)]
    for n in range(FREE_FAILURES + 3):
        door.comes(f"192.0.2.{n}")
    busy(door, FAIR_AFTER + 2 * PACE)
    assert len(set(office) & set(door.refused)) > FREE_FAILURES
    assert not door.admission.is_suspect(STRANGER, door.now)


def test_an_excused_failure_does_not_make_an_address_suspect() -> None:
    door = Door()
    for excused in (True, False):
        assert not door.admission.is_suspect(STRANGER, door.now)
        for _ in range(FREE_FAILURES + 3):
            visitor = door.comes(STRANGER)
            if excused:
                door.admission.excuse(visitor)
            door.goes(visitor)
    assert door.admission.is_suspect(STRANGER, door.now)


def test_a_connection_that_ends_after_its_login_has_not_failed() -> None:
    door = Door()
    for _ in range(FREE_FAILURES + 3):
        visitor = door.comes(STRANGER)
        door.enters(visitor, guest=False)
        door.admission.left(visitor, door.now)
    assert not door.admission.is_suspect(STRANGER, door.now)


def test_a_suspect_address_at_its_limit_only_gets_a_place_of_its_own() -> None:
    """A suspect address at its limit waits for a place of its own, whoever else gives way."""
    door = Door()
    door.fails(STRANGER, FREE_FAILURES + 5)
    own = [door.comes(STRANGER) for _ in range(SUSPECT_PLACES)]
    others = [door.comes(f"192.0.2.{n}") for n in range(MAX_PLACES - KEPT_PLACES - SUSPECT_PLACES)]
    door.stalls(others[0])
    guest = door.comes(GUEST)
    assert set(door.refused) == {others[0]}
    door.goes(guest)
    door.stalls(own[0])
    door.comes(STRANGER)
    assert set(door.refused) == {others[0], own[0]}


def test_a_login_is_not_ended_for_another_before_it_could_be_done() -> None:
    door = Door()
    for _ in range(MAX_PLACES):
        door.comes(STRANGER)
    door.passes(FAIR_AFTER - 0.1)
    door.comes()
    assert not door.refused


def test_a_suspect_address_takes_no_place_from_others() -> None:
    door = Door()
    for _ in range(MAX_PLACES - KEPT_PLACES):
        door.comes(GUEST)
    door.fails(STRANGER, FREE_FAILURES + 5)
    suspect = door.comes(STRANGER)
    busy(door, FAIR_AFTER + 2 * PACE)
    assert suspect not in door.inside
    assert not door.refused


def test_a_full_lobby_counts_the_places_of_an_address_too() -> None:
    door = Door()
    waiting = [door.comes(STRANGER) for _ in range(MAX_PLACES - KEPT_PLACES + 1)][-1]
    guest = door.comes(GUEST)
    for n in range(MAX_WAITING - 1):
        door.comes(f"192.0.2.{n}")
    assert list(door.refused) == [waiting]
    assert guest not in door.refused


class Flood(RuleBasedStateMachine):
    """Strangers do anything, in any order; a guest of a clean address is served all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.door = Door()
        self.alive: list[Visitor] = []

    @rule(peer=st.sampled_from(strangers(5)), speaks=st.booleans(), times=st.integers(1, 40))
    def come(self, peer: str, speaks: bool, times: int) -> None:
        self.alive += [self.door.comes(peer, speaks=speaks) for _ in range(times)]

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        for visitor, state in self.door.inside.items():
            self.door.inside[visitor] = Progress(state.quiet + seconds, state.received)
        self.door.passes(seconds)

    @rule(received=st.sampled_from([0, 20, LOGIN_UNDER_WAY, 5000]))
    def speak(self, received: int) -> None:
        for visitor in list(self.door.inside)[::3]:
            self.door.inside[visitor] = Progress(0.0, received)
        self.door.decide()

    @rule()
    def ended_sshds_go(self) -> None:
        for visitor in [inside for inside in self.door.inside if inside.ending]:
            self.door.goes(visitor)

    @rule(enter=st.booleans())
    def go(self, enter: bool) -> None:
        for visitor in list(self.door.inside)[::2]:
            if enter:
                self.door.enters(visitor, guest=False)
            else:
                self.door.goes(visitor)

    @rule()
    def a_guest_comes(self) -> None:
        guest = self.door.comes("203.0.113.99")
        for _ in range(int(LONGEST_WAIT / PACE)):
            if guest in self.door.inside:
                break
            self.wait(PACE)
            self.ended_sshds_go()
        assert guest in self.door.inside, "the guest is refused"
        self.door.enters(guest, guest=False)

    @invariant()
    def there_are_never_more_sshds_than_places(self) -> None:
        assert len(self.door.inside) <= MAX_PLACES + SILENT_PLACES
        assert Counter(visitor.listens for visitor in self.door.inside)[True] <= SILENT_PLACES

    @invariant()
    def nothing_leaks(self) -> None:
        admission = self.door.admission
        assert set(admission._seated()) == set(self.door.inside)
        assert len(admission._waiting()) <= MAX_WAITING
        if not admission._visitors:
            assert admission.next_look(self.door.now) is None


TestFlood = Flood.TestCase
TestFlood.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


def test_ban_returns_until_when_an_address_is_banned() -> None:
    door = Door(shared=["127.0.0.1"])
    assert door.admission.ban(STRANGER, door.now) is None
    for peer in (STRANGER, "127.0.0.1"):
        door.fails(peer, FREE_FAILURES + 1, login=True)
    ban = door.admission.ban(STRANGER, door.now)
    assert ban
    assert ban.until == door.now + ban.seconds
    assert door.admission.ban(STRANGER, ban.until) is None
    assert door.admission.ban("127.0.0.1", door.now) is None
