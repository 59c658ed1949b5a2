"""What an invitation is bound to beside its deadline: one visit, a time to open, signs of life."""

from __future__ import annotations

import pytest

from pairingd.core import plan
from pairingd.core.events import Active, Begin, Came, Event, Extend, Invite, Rested, Tick, Went
from pairingd.core.model import Cause, Conditions, Invitation, Standing, State
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.core.rules import step
from tests.core.make import START, invitation, invite

HOUR = 3600


def invited(*, ttl: int = HOUR, **conditions: object) -> State:
    guest = invitation(ttl=ttl, conditions=replace(Conditions(), **conditions))  # type: ignore[arg-type]
    return step(State(), invite(guest), START)


def only(state: State) -> Invitation:
    assert state.session
    (new,) = state.session.invitations
    return new


def after(state: State, *events: tuple[float, Event]) -> State:
    for at, event in events:
        state = step(state, event, START + at)
    return state


def begin(state: State) -> Begin:
    marks = frozenset(live.rights for live in state.live)
    return Begin(marks, clock_is_behind=False, max_ttl=HOUR)


ID = only(invited()).id


# Opens later.


def test_the_door_is_open_from_opens_at_until_the_deadline() -> None:
    state = invited(opens_at=START + 60)
    for at in (59, 60, 60 + HOUR - 1, 60 + HOUR):
        assert plan.admits(state, START + at) is plan.desired(state, START + at).door
    assert not plan.desired(state, START + 59).door
    assert plan.desired(state, START + 60).door
    assert plan.desired(state, START + 60 + HOUR - 1).door
    assert not plan.desired(state, START + 60 + HOUR).door
    assert plan.next_deadline(state, START) == START + 60
    assert plan.next_deadline(state, START + 60) == START + 60 + HOUR


def test_a_scheduled_invitation_keeps_its_session() -> None:
    state = after(invited(opens_at=START + 60), (30, Tick()))
    assert only(state).is_scheduled(START + 30)
    assert not only(state).is_scheduled(START + 60)
    assert state.session
    assert state.session.ended_at is None


@pytest.mark.parametrize(
    ("opens_in", "ttl", "fits"),
    [(0, 2 * HOUR, True), (HOUR, 2 * HOUR, True), (HOUR, 2 * HOUR + 1, False)],
)
def test_max_ttl_is_counted_from_opens_at(opens_in: int, ttl: int, *, fits: bool) -> None:
    new = invitation(ttl=ttl, conditions=Conditions(opens_at=START + opens_in))
    event = Invite("s", (new,), 22, max_ttl=2 * HOUR)
    if fits:
        assert step(State(), event, START).live
    else:
        with pytest.raises(Refused):
            step(State(), event, START)


@pytest.mark.parametrize(("to", "fits"), [(30, False), (60, False), (61, True)])
def test_extend_ends_no_invitation_before_it_opens(to: int, *, fits: bool) -> None:
    state, event = invited(opens_at=START + 60), Extend(ID, START + to, HOUR)
    if fits:
        assert only(step(state, event, START)).expires_at == START + to
    else:
        with pytest.raises(Refused, match="before it opens") as caught:
            step(state, event, START)
        assert caught.value.code == "deadline-past"


def test_opens_at_is_at_most_max_ttl_ahead() -> None:
    new = invitation(ttl=60, conditions=Conditions(opens_at=START + 2 * HOUR + 1))
    with pytest.raises(Refused):
        step(State(), Invite("s", (new,), 22, max_ttl=2 * HOUR), START)


def test_a_start_leaves_a_scheduled_invitation_its_whole_time() -> None:
    state = invited(opens_at=START + HOUR, ttl=HOUR)
    begun = step(state, begin(state), START + 10)
    assert only(begun) == only(state)


# Nobody came.


def test_an_invitation_expires_if_its_guest_has_not_come_by_join_by() -> None:
    state = after(invited(join_by=START + 600), (600, Tick()))
    assert only(state).standing is Standing.EXPIRED
    assert only(state).over_at == START + 600


def test_a_guest_who_came_before_join_by_stays_until_the_deadline() -> None:
    state = after(invited(join_by=START + 600), (599, Came(ID)), (700, Went(ID)), (800, Tick()))
    assert only(state).live
    assert plan.next_deadline(state, START + 800) == START + HOUR


def test_sshds_own_lock_has_the_sooner_deadline() -> None:
    state = invited(join_by=START + 600)
    (grant,) = plan.desired(state, START).grants
    assert grant.expires_at == START + 600
    (grant,) = plan.desired(after(state, (1, Came(ID))), START + 1).grants
    assert grant.expires_at == START + HOUR


def test_extend_ends_no_invitation_before_its_guest_must_have_come() -> None:
    state, sooner = invited(join_by=START + 600), Extend(ID, START + 599, HOUR)
    with pytest.raises(Refused, match="2027-01-15T08:10:00Z, until when they may join") as caught:
        step(state, sooner, START)
    assert caught.value.code == "deadline-past"
    assert only(step(state, Extend(ID, START + 600, HOUR), START)).expires_at == START + 600
    assert only(after(state, (1, Came(ID)), (2, sooner))).expires_at == START + 599


def test_a_time_to_join_after_the_deadline_prolongs_nothing() -> None:
    assert only(after(invited(join_by=START + 2 * HOUR), (HOUR, Tick()))).over_at == START + HOUR


# One visit.


def test_the_first_visit_uses_a_once_invitation_up() -> None:
    state = after(invited(once=True), (10, Came(ID)))
    assert only(state).live
    state = after(state, (20, Went(ID)))
    assert only(state).standing is Standing.ENDED
    assert only(state).cause is Cause.USED


def test_a_second_visit_beside_the_first_is_refused() -> None:
    state = after(invited(once=True), (10, Came(ID)))
    with pytest.raises(Refused, match="one visit"):
        step(state, Came(ID), START + 11)


def test_a_once_guest_who_left_without_joining_may_still_come() -> None:
    assert only(after(invited(once=True), (10, Went(ID)))).live


def test_a_start_after_the_visit_began_finds_it_used() -> None:
    state = after(invited(once=True), (10, Came(ID)))
    begun = step(state, begin(state), START + 20)
    assert only(begun).cause is Cause.USED


def test_a_start_with_a_state_from_before_the_visit_finds_it_used_by_its_mark() -> None:
    before = invited(once=True)
    marks = begin(after(before, (10, Came(ID)))).marks
    begun = step(before, Begin(marks, clock_is_behind=False, max_ttl=HOUR), START + 20)
    assert only(begun).cause is Cause.USED


def test_without_once_an_invitation_stays_live_after_a_visit() -> None:
    state = after(invited(), *((at, event(ID)) for at in (1, 3) for event in (Came, Went)))
    assert only(state).live
    assert only(state).came_at == START + 1


# Signs of life.


def test_an_invitation_ends_after_idle_seconds_without_a_connection() -> None:
    state = invited(idle_seconds=600)
    assert only(after(state, (599, Rested()))).live
    assert only(after(state, (600, Rested()))).cause is Cause.IDLE


def test_coming_typing_and_going_are_signs_of_life() -> None:
    state = after(invited(idle_seconds=600), (500, Came(ID)), (1000, Rested()))
    state = after(state, (1050, Active(ID, START + 1040)), (1600, Rested()))
    assert plan.next_deadline(state, START + 1600) == START + 1640
    state = after(state, (1620, Went(ID)), (2200, Rested()))
    assert only(state).live
    assert only(after(state, (2220, Rested()))).over_at == START + 2220


def test_an_older_sign_of_life_takes_nothing_away() -> None:
    state = after(invited(idle_seconds=600), (500, Came(ID)), (501, Active(ID, START + 5)))
    assert only(state).idle_at == START + 1100


def test_a_tick_alone_does_not_end_an_idle_invitation() -> None:
    assert only(after(invited(idle_seconds=600), (700, Tick()))).live


def test_idle_seconds_are_counted_from_opens_at() -> None:
    state = invited(idle_seconds=60, opens_at=START + 600)
    assert only(after(state, (650, Rested()))).live
    assert not only(after(state, (660, Rested()))).live


def test_activity_does_not_change_an_ended_invitation() -> None:
    state = after(invited(idle_seconds=600), (600, Rested()))
    assert after(state, (601, Came(ID)), (602, Active(ID, START + 602)), (603, Went(ID))) == state


def test_a_deadline_that_moves_leaves_the_conditions() -> None:
    state = after(invited(once=True, idle_seconds=600), (1, Extend(ID, START + 2 * HOUR, 9 * HOUR)))
    assert only(state).conditions == Conditions(once=True, idle_seconds=600)
