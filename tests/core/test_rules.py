from __future__ import annotations

import shlex

import pytest

from pairingd.core.events import (
    Begin,
    CommandAnnounced,
    CommandPrinted,
    DoorOpened,
    End,
    Event,
    Extend,
    Invite,
    Revoke,
    SetAccess,
    Tick,
)
from pairingd.core.model import Access, Conditions, HostPort, Rights, Standing, State
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.core.rules import gives_rights, require_new, step
from tests.core.make import START, invitation, invite, key

INVITED = step(State(), invite(), START)
ID = "id-github:octocat"


def standings(state: State) -> list[Standing]:
    assert state.session
    return [invited.standing for invited in state.session.invitations]


def refused(state: State, event: object, now: float) -> str:
    with pytest.raises(Refused) as caught:
        step(state, event, now)  # type: ignore[arg-type]
    return caught.value.code


def test_an_invitation_is_live_until_its_deadline_and_not_a_moment_longer() -> None:
    assert standings(step(INVITED, Tick(), START + 3599.9)) == [Standing.LIVE]
    assert standings(step(INVITED, Tick(), START + 3600)) == [Standing.EXPIRED]


def test_an_expired_invitation_was_over_at_its_deadline_even_if_noticed_later() -> None:
    late = step(INVITED, Tick(), START + 90_000)
    assert late.session
    assert late.session.invitations[0].over_at == START + 3600
    assert late.session.ended_at == START + 3600


def test_a_session_is_in_its_box_as_a_whole_or_not_at_all() -> None:
    more = invite(invitation("gitlab:mona"))
    boxed = step(State(), replace(invite(), box="b0c5"), START)
    assert refused(boxed, more, START) == "mixed-session"
    assert refused(boxed, replace(more, box="other"), START) == "mixed-session"
    assert refused(INVITED, replace(more, box="b0c5"), START) == "mixed-session"
    assert len(standings(step(boxed, replace(more, box="b0c5"), START))) == 2
    assert boxed.session
    assert boxed.session.account == ""


def test_guests_of_an_accounts_session_log_in_as_the_account() -> None:
    assert INVITED.session
    assert INVITED.session.account == ""
    as_pair = step(State(), replace(invite(), box="b0c5@pair"), START)
    assert as_pair.session
    assert as_pair.session.account == "pair"


def test_the_session_lasts_until_the_last_invitation_is_over() -> None:
    both = step(INVITED, invite(invitation("gitlab:mona", ttl=7200)), START)
    first_over = step(both, Tick(), START + 3600)
    assert first_over.session
    assert first_over.session.ended_at is None
    both_over = step(first_over, Tick(), START + 7200)
    assert both_over.session
    assert both_over.session.ended_at == START + 7200


def test_a_new_session_begins_when_the_old_one_has_no_live_invitation() -> None:
    over = step(INVITED, End(), START + 5)
    again = step(over, invite(session="s2"), START + 6)
    assert again.session
    assert again.session.id == "s2"
    assert len(again.session.invitations) == 1


def test_inviting_a_live_guest_again_is_refused_whatever_the_case_of_the_name() -> None:
    again = invite(invitation("github:OctoCat", id="other", keys=(key("new"),)))
    assert refused(INVITED, again, START + 1) == "already-invited"


def test_a_live_guest_is_not_new_before_anything_is_fetched_for_them() -> None:
    with pytest.raises(Refused) as caught:
        require_new(INVITED, ["gitlab:ann", "github:OctoCat"], START + 1)
    assert caught.value.code == "already-invited"
    assert "pairctl invite --show github:OctoCat" in caught.value.hint
    assert "on other terms, first: pairctl revoke github:OctoCat" in caught.value.hint
    require_new(INVITED, ["gitlab:octocat"], START + 1)
    require_new(INVITED, ["github:octocat"], START + 3600)  # over, though not noticed yet


@pytest.mark.parametrize("guest", ["file:/home/m/my keys.pub", "https://x.example/?u=1&v=$2"])
def test_a_hint_quotes_the_guest_for_a_shell(guest: str) -> None:
    invited = step(State(), invite(invitation(guest)), START)
    with pytest.raises(Refused) as caught:
        step(invited, invite(invitation(guest, id="other", keys=(key("new"),))), START + 1)
    assert shlex.split(caught.value.hint)[-3:] == ["extend", guest, "1h"]
    with pytest.raises(Refused) as caught:
        step(invited, Extend(f"id-{guest}", START, 60), START + 1)
    assert shlex.split(caught.value.hint)[-2:] == ["revoke", guest]


def test_a_guest_named_twice_in_one_request_is_refused() -> None:
    twice = invite(invitation(), invitation(id="other", keys=(key("new"),)))
    assert refused(State(), twice, START) == "already-invited"


def test_two_guests_with_one_key_are_refused() -> None:
    shared = invite(invitation("gitlab:mona", keys=(key("github:octocat"),)))
    assert refused(INVITED, shared, START + 1) == "key-already-invited"


def test_a_shared_key_is_reported_as_invited_already_only_if_it_is() -> None:
    same = invitation("gitlab:mona", keys=(key("github:octocat"),))
    with pytest.raises(Refused) as caught:
        step(INVITED, invite(same), START + 1)
    assert "invited already" in caught.value.message
    assert "revoke github:octocat" in caught.value.hint
    with pytest.raises(Refused) as caught:
        step(State(), invite(invitation(), same), START)
    assert caught.value.message == "gitlab:mona has the same key as github:octocat"
    assert caught.value.hint == "invite only one of them"


def test_another_external_port_is_refused_while_the_session_lives() -> None:
    other = Invite("s2", (invitation("gitlab:mona"),), 2222, port_chosen=True)
    assert refused(INVITED, other, START + 1) == "port-fixed"
    assert step(step(INVITED, End(), START), other, START + 1).live


@pytest.mark.parametrize(
    ("opens_at", "since"), [(None, "from now"), (START + 60, "after it opens")]
)
def test_the_longest_time_is_counted_from_the_opening(opens_at: int | None, since: str) -> None:
    state = step(State(), invite(invitation(conditions=Conditions(opens_at=opens_at))), START)
    with pytest.raises(Refused) as caught:
        step(state, Extend(ID, START + 10**6, max_ttl=86400), START + 1)
    assert caught.value.message == f"an invitation may last at most 1d {since}"


def test_extend_moves_the_deadline_and_no_further_than_allowed() -> None:
    longer = step(INVITED, Extend(ID, START + 7200, max_ttl=86400), START + 10)
    assert longer.live[0].expires_at == START + 7200
    assert refused(INVITED, Extend(ID, START + 86411, max_ttl=86400), START + 10) == "ttl-too-long"
    assert refused(INVITED, Extend(ID, 10**400, max_ttl=86400), START + 0.5) == "ttl-too-long"
    assert refused(INVITED, Extend(ID, START + 10, max_ttl=86400), START + 10) == "deadline-past"


@pytest.mark.parametrize(
    "event",
    [Extend(ID, START + 9999, 86400), Revoke((ID,)), SetAccess(ID, Access.READ)],
)
def test_no_event_revives_an_expired_invitation(event: object) -> None:
    assert refused(INVITED, event, START + 3600) == "no-such-guest"


def test_revoke_takes_all_named_or_none() -> None:
    assert refused(INVITED, Revoke((ID, "unknown")), START + 1) == "no-such-guest"
    assert standings(step(INVITED, Revoke((ID,)), START + 1)) == [Standing.REVOKED]


def test_end_ends_every_live_invitation_and_leaves_the_others_as_they_were() -> None:
    both = step(INVITED, invite(invitation("gitlab:mona")), START)
    ended = step(step(both, Revoke((ID,)), START + 1), End(), START + 2)
    assert standings(ended) == [Standing.REVOKED, Standing.ENDED]


def test_access_changes_for_the_one_guest_only() -> None:
    both = step(INVITED, invite(invitation("gitlab:mona")), START)
    changed = step(both, SetAccess(ID, Access.READ), START + 1)
    assert [guest.access for guest in changed.live] == [Access.READ, Access.WRITE]


def test_the_doors_port_is_remembered_for_a_restart() -> None:
    opened = step(INVITED, DoorOpened(41234), START + 1)
    assert opened.session
    assert opened.session.door_port == 41234
    assert step(State(), DoorOpened(41234), START) == State()


HOME, OFFICE = HostPort("5.5.5.1", 22), HostPort("5.5.6.1", 22)


def ways(state: State) -> tuple[HostPort | None, HostPort | None]:
    assert state.session
    return state.session.printed, state.session.announced


def test_an_announced_endpoint_is_not_yet_the_one_that_the_guests_hold() -> None:
    printed = step(INVITED, CommandPrinted(HOME), START + 1)
    assert ways(printed) == (HOME, HOME)
    moved = step(printed, CommandAnnounced(OFFICE), START + 2)
    assert ways(moved) == (HOME, OFFICE)
    assert ways(step(moved, CommandPrinted(OFFICE), START + 3)) == (OFFICE, OFFICE)


def test_a_session_has_no_endpoint_once_no_guest_may_enter() -> None:
    printed = step(INVITED, CommandPrinted(HOME), START + 1)
    over = step(printed, End(), START + 2)
    assert ways(over) == (None, None)
    for event in (CommandPrinted(HOME), CommandAnnounced(OFFICE)):
        assert step(over, event, START + 3) == over
        assert step(State(), event, START) == State()
        assert ways(step(printed, event, START + 3600)) == (None, None)
    assert ways(step(over, invite(session="s2"), START + 4)) == (None, None)


BOTH = step(INVITED, invite(invitation("gitlab:mona", ttl=7200)), START)


def begin(state: State, *marks: Rights, behind: bool = False, at: int = START + 10) -> State:
    return step(state, Begin(frozenset(marks), behind, 86400), at)


MARKS = tuple(live.rights for live in BOTH.live)


def test_a_start_with_every_mark_present_changes_nothing() -> None:
    assert begin(BOTH, *MARKS) == BOTH
    assert begin(State()) == State()


def test_an_invitation_saved_as_live_without_a_mark_is_revoked_at_the_start() -> None:
    unknown = Rights("unknown", Access.WRITE, START + 3600)
    state = begin(BOTH, MARKS[1], unknown)
    assert standings(state) == [Standing.REVOKED, Standing.LIVE]
    assert begin(state, MARKS[1], at=START + 20) == state


@pytest.mark.parametrize(
    ("access", "ttl", "left"),
    [
        (Access.READ, 3600, (Access.READ, 3600)),
        (Access.WRITE, 60, (Access.WRITE, 60)),
        (Access.READ, 60, (Access.READ, 60)),
        (Access.READ, 9999, (Access.READ, 3600)),
        (Access.WRITE, 9999, (Access.WRITE, 3600)),
    ],
)
def test_a_mark_limits_the_rights_in_the_saved_state(
    access: Access, ttl: int, left: tuple[Access, int]
) -> None:
    [reduced] = begin(INVITED, Rights(ID, access, START + ttl)).live
    assert (reduced.access, reduced.expires_at - START) == left


def test_the_best_of_several_marks_of_one_invitation_counts() -> None:
    """A daemon was killed while it gave more: after the mark, or before the old one was gone."""
    [live] = INVITED.live
    older = [Rights(ID, Access.READ, live.expires_at), Rights(ID, Access.WRITE, START + 60)]
    assert begin(INVITED, *older, live.rights) == INVITED
    [left] = begin(INVITED, *older).live
    assert left.rights == older[0]


def test_a_start_with_the_clock_behind_ends_every_invitation() -> None:
    state = begin(BOTH, MARKS[1], behind=True)
    assert standings(state) == [Standing.REVOKED, Standing.ENDED]
    assert state.session
    assert state.session.ended_at == START + 10


def test_a_deadline_that_is_due_at_the_start_goes_before_all_else() -> None:
    state = begin(BOTH, behind=True, at=START + 3600)
    assert standings(state) == [Standing.EXPIRED, Standing.REVOKED]


@pytest.mark.parametrize(
    ("event", "gives"),
    [
        (Tick(), False),
        (End(), False),
        (Revoke((ID,)), False),
        (SetAccess(ID, Access.READ), False),
        (SetAccess(ID, Access.WRITE), False),
        (Extend(ID, START + 60, 86400), False),
        (Extend(ID, START + 3601, 86400), True),
        (invite(invitation("gitlab:mona")), True),
    ],
)
def test_gives_rights_is_true_only_for_events_that_add_rights(event: Event, gives: bool) -> None:
    assert gives_rights(INVITED, step(INVITED, event, START + 1)) is gives
    reads = step(INVITED, SetAccess(ID, Access.READ), START)
    assert gives_rights(reads, INVITED)


@pytest.mark.parametrize("ttl", [3601, 10**400], ids=["a second", "400 digits"])
def test_an_invitation_longer_than_max_ttl_is_refused_with_all_others(ttl: int) -> None:
    short, long = invitation("gitlab:mona", ttl=3600), invitation("gitlab:ann", ttl=ttl)
    both = Invite("s2", (short, long), 22, max_ttl=3600)
    assert refused(INVITED, both, START) == "ttl-too-long"
    assert len(step(INVITED, replace(both, invitations=(short,)), START).live) == 2


def test_no_deadline_is_further_ahead_at_the_start_than_max_ttl() -> None:
    state = step(BOTH, Begin(frozenset(MARKS), False, 5000), START + 10)
    assert [live.expires_at for live in state.live] == [START + 3600, START + 5010]
