from __future__ import annotations

from pairingd.core import plan
from pairingd.core.events import Came, SetAccess
from pairingd.core.model import Access, Conditions, State
from pairingd.core.records import replace
from pairingd.core.rules import step
from tests.core.make import START, invitation, invite, key

STATE = step(State(), invite(), START)
ID = "id-github:octocat"
WANT = plan.desired(STATE, START)
SHUT = plan.Observed(grants=(), door_port=None, connections=())
GUEST_IN = plan.Connection(pid=7, authenticated=True, invitation=ID)


def test_nothing_is_desired_from_the_deadline_on_even_before_the_tick() -> None:
    assert plan.desired(STATE, START + 3600) == plan.NOTHING


def test_keys_are_written_before_the_door_opens() -> None:
    assert plan.access(WANT, SHUT) == [plan.WriteGrants(WANT.grants), plan.OpenDoor(0)]


def test_an_observed_state_as_desired_needs_no_action() -> None:
    open_ = plan.Observed(WANT.grants, 40000, (GUEST_IN,))
    assert plan.access(WANT, open_) == []


def test_everything_closes_in_order_when_nothing_is_desired() -> None:
    stranger = plan.Connection(pid=8, authenticated=False, invitation=None)
    have = plan.Observed(WANT.grants, 40000, (GUEST_IN, stranger))
    assert plan.access(plan.NOTHING, have) == [
        plan.CloseDoor(),
        plan.Cut(7),
        plan.Cut(8),
        plan.WriteGrants(()),
    ]


def test_a_login_without_an_invitation_is_cut_and_an_unauthenticated_one_is_not() -> None:
    unknown = plan.Connection(pid=8, authenticated=True, invitation=None)
    knocking = plan.Connection(pid=9, authenticated=False, invitation=None)
    have = plan.Observed(WANT.grants, 40000, (GUEST_IN, unknown, knocking))
    assert plan.access(WANT, have) == [plan.Cut(8)]


def test_an_astray_connection_is_cut_even_if_its_invitation_is_live() -> None:
    astray = plan.Connection(pid=7, authenticated=True, invitation=ID, astray=True)
    assert plan.access(WANT, plan.Observed(WANT.grants, 40000, (astray,))) == [plan.Cut(7)]


def test_keys_that_cannot_be_read_back_are_written_again() -> None:
    unreadable = plan.Observed(None, 40000, ())
    assert plan.access(WANT, unreadable) == [plan.WriteGrants(WANT.grants)]


def test_a_role_changes_on_the_guests_connection_without_a_write_to_the_keys() -> None:
    want = plan.desired(step(STATE, SetAccess(ID, Access.READ), START), START)
    writer = replace(GUEST_IN, role=Access.WRITE)
    reader = replace(GUEST_IN, pid=GUEST_IN.pid + 1, role=Access.READ)
    without_a_terminal = replace(GUEST_IN, pid=GUEST_IN.pid + 2)
    have = plan.Observed(WANT.grants, 40000, (writer, reader, without_a_terminal))
    assert plan.access(want, have) == [plan.ChangeRole(writer.pid, Access.READ)]


def test_a_restarted_daemon_requests_the_doors_old_port() -> None:
    assert plan.Desired((), {ID: Access.WRITE}, 41234).door
    want = plan.Desired(WANT.grants, WANT.access, 41234)
    assert plan.OpenDoor(41234) in plan.access(want, SHUT)


def test_every_key_of_a_guest_is_granted() -> None:
    state = step(State(), invite(invitation(keys=(key("a"), key("b")))), START)
    grants = plan.desired(state, START).grants
    assert [grant.key.comment for grant in grants] == ["a", "b"]


def test_a_guest_whose_one_visit_has_begun_may_stay_and_not_enter_again() -> None:
    once = replace(invitation(), conditions=Conditions(once=True))
    state = step(step(State(), invite(once), START), Came(once.id), START)
    want = plan.desired(state, START)
    assert (want.grants, want.access) == ((), {once.id: Access.WRITE})


def test_the_next_deadline_is_the_earliest_or_none_without_a_live_invitation() -> None:
    both = step(STATE, invite(invitation("gitlab:mona", ttl=60)), START)
    assert plan.next_deadline(both, START) == START + 60
    assert plan.next_deadline(State(), START) is None
