from __future__ import annotations

from dataclasses import replace

import pytest

from pairingd.core import plan
from pairingd.core.model import Access, State
from pairingd.core.rules import SetAccess, step
from tests.core.make import START, invitation, invite, key, mapping

STATE = step(State(), invite(), START)
ID = "id-github:octocat"
WANT = plan.desired(STATE, START)
SHUT = plan.Observed(grants=(), door_port=None, connections=())
GUEST_IN = plan.Connection(pid=7, authenticated=True, invitation=ID)
WISH = plan.MappingWish("home", "192.168.1.10", 40000, 22)
NOW = START + 1.0


def test_nothing_is_wished_from_the_deadline_on_even_before_the_tick() -> None:
    assert plan.desired(STATE, START + 3600) == plan.NOTHING


def test_keys_are_written_before_the_door_opens() -> None:
    assert plan.access(WANT, SHUT) == [plan.WriteGrants(WANT.grants), plan.OpenDoor(0)]


def test_a_world_as_wished_needs_nothing() -> None:
    open_ = plan.Observed(WANT.grants, 40000, (GUEST_IN,))
    assert plan.access(WANT, open_) == []


def test_everything_closes_in_order_when_nothing_is_wished() -> None:
    stranger = plan.Connection(pid=8, authenticated=False, invitation=None)
    have = plan.Observed(WANT.grants, 40000, (GUEST_IN, stranger))
    assert plan.access(plan.NOTHING, have) == [
        plan.CloseDoor(),
        plan.Cut(7),
        plan.Cut(8),
        plan.WriteGrants(()),
    ]


def test_a_connection_of_nobody_live_is_cut_and_one_that_only_knocks_is_not() -> None:
    unknown = plan.Connection(pid=8, authenticated=True, invitation=None)
    knocking = plan.Connection(pid=9, authenticated=False, invitation=None)
    have = plan.Observed(WANT.grants, 40000, (GUEST_IN, unknown, knocking))
    assert plan.access(WANT, have) == [plan.Cut(8)]


def test_a_connection_that_is_astray_is_cut_though_its_invitation_is_live() -> None:
    astray = plan.Connection(pid=7, authenticated=True, invitation=ID, astray=True)
    assert plan.access(WANT, plan.Observed(WANT.grants, 40000, (astray,))) == [plan.Cut(7)]


def test_keys_that_cannot_be_read_back_are_written_again() -> None:
    unreadable = plan.Observed(None, 40000, ())
    assert plan.access(WANT, unreadable) == [plan.WriteGrants(WANT.grants)]


def test_a_changed_role_is_written_to_the_keys_and_changed_where_the_guest_is_in() -> None:
    want = plan.desired(step(STATE, SetAccess(ID, Access.READ), START), START)
    writer = replace(GUEST_IN, role=Access.WRITE)
    reader = replace(GUEST_IN, pid=GUEST_IN.pid + 1, role=Access.READ)
    without_a_terminal = replace(GUEST_IN, pid=GUEST_IN.pid + 2)
    have = plan.Observed(WANT.grants, 40000, (writer, reader, without_a_terminal))
    assert plan.access(want, have) == [
        plan.WriteGrants(want.grants),
        plan.ChangeRole(writer.pid, Access.READ),
    ]


def test_a_restarted_daemon_asks_for_the_doors_old_port() -> None:
    assert plan.Desired((), {ID: Access.WRITE}, 41234).door
    want = plan.Desired(WANT.grants, WANT.access, 41234)
    assert plan.OpenDoor(41234) in plan.access(want, SHUT)


def test_every_key_of_a_guest_is_granted() -> None:
    state = step(State(), invite(invitation(keys=(key("a"), key("b")))), START)
    grants = plan.desired(state, START).grants
    assert [grant.key.comment for grant in grants] == ["a", "b"]


def test_the_next_deadline_is_the_earliest_and_none_when_nobody_is_live() -> None:
    both = step(STATE, invite(invitation("gitlab:mona", ttl=60)), START)
    assert plan.next_deadline(both) == START + 60
    assert plan.next_deadline(State()) is None


def test_a_mapping_is_asked_for_where_there_is_none() -> None:
    assert plan.mapping(WISH, [], "home", {}, NOW) == [plan.OpenMapping(WISH)]


def test_a_mapping_seen_lately_is_left_alone_then_looked_at_then_renewed() -> None:
    held = mapping()
    seen = {held.id: plan.Seen(NOW, NOW + 30)}
    assert plan.mapping(WISH, [held], "home", seen, NOW + 30) == []
    assert plan.mapping(WISH, [held], "home", seen, NOW + 84) == []
    assert plan.mapping(WISH, [held], "home", seen, NOW + 85) == [plan.CheckMapping(held)]
    assert plan.mapping(WISH, [held], "home", seen, START + 300) == [plan.RenewMapping(held)]


def test_a_mapping_found_in_the_journal_at_a_start_is_adopted_by_renewing_it() -> None:
    held = mapping()
    assert plan.mapping(WISH, [held], "home", {}, NOW) == [plan.RenewMapping(held)]


def test_a_mapping_that_does_not_lead_to_the_door_is_closed_before_another_opens() -> None:
    old = mapping(internal_port=39999)
    assert plan.mapping(WISH, [old], "home", {}, NOW) == [
        plan.CloseMapping(old),
        plan.OpenMapping(WISH),
    ]


def test_an_addition_that_was_interrupted_is_undone() -> None:
    asked = mapping(granted_until=None, renew_at=None)
    assert plan.mapping(WISH, [asked], "home", {}, NOW) == [
        plan.CloseMapping(asked),
        plan.OpenMapping(WISH),
    ]


def test_a_mapping_whose_last_look_was_not_answered_is_renewed() -> None:
    held = mapping()
    seen = {held.id: plan.Seen(NOW, NOW + 30, answered=False)}
    assert plan.mapping(WISH, [held], "home", seen, NOW + 31) == [plan.RenewMapping(held)]


def test_a_mapping_that_nobody_renews_is_closed_and_another_asked_for() -> None:
    given_up = mapping(renew_at=None)
    assert plan.mapping(WISH, [given_up], "home", {}, NOW) == [
        plan.CloseMapping(given_up),
        plan.OpenMapping(WISH),
    ]


def test_a_lease_that_has_run_out_is_over_but_not_where_the_router_keeps_none() -> None:
    held = mapping()
    assert not plan.is_over(held, START + 599)
    assert plan.is_over(held, START + 600)
    assert not plan.is_over(replace(held, handle=(("permanent", "yes"),)), START + 600)
    assert not plan.is_over(mapping(granted_until=None), START + 600)


def test_of_two_mappings_one_is_closed() -> None:
    first, second = mapping(), mapping(id="m2")
    checked = {"m1": plan.Seen(NOW, NOW)}
    assert plan.mapping(WISH, [first, second], "home", checked, NOW) == [plan.CloseMapping(second)]


def test_a_mapping_left_in_another_network_is_never_deleted_from_here() -> None:
    stranded = mapping(network="office")
    assert plan.mapping(None, [stranded], "home", {}, NOW) == []
    assert plan.mapping(WISH, [stranded], "home", {}, NOW) == [plan.OpenMapping(WISH)]


def test_without_a_network_nothing_is_asked_of_anyone() -> None:
    assert plan.mapping(None, [mapping()], None, {}, NOW) == []


def test_a_new_mapping_is_looked_at_after_1_5_and_30_seconds_then_within_a_minute() -> None:
    held = mapping(renew_at=NOW + 1000)
    looked, at = [], NOW
    for _ in range(5):
        seen = {"m1": plan.Seen(NOW, at)}
        deadline = plan.mapping_deadline([held], "home", seen, at)
        assert deadline is not None
        assert plan.mapping(WISH, [held], "home", seen, deadline) == [plan.CheckMapping(held)]
        looked.append(deadline - NOW)
        at = deadline
    assert looked == [1, 5, 30, 85, 140]


def test_a_clock_that_was_set_back_does_not_put_off_the_next_look() -> None:
    held = mapping()
    seen = {held.id: plan.Seen(NOW + 3600, NOW + 3600)}
    assert plan.mapping(WISH, [held], "home", seen, NOW) == [plan.CheckMapping(held)]


def test_a_held_mapping_is_next_looked_at_or_renewed_whichever_is_sooner() -> None:
    held = mapping()
    late = plan.Seen(START, START + 299.0)
    lately = plan.Seen(NOW, NOW + 30)
    assert plan.mapping_deadline([held], "home", {"m1": lately}, NOW + 30) == NOW + 85
    assert plan.mapping_deadline([held], "home", {"m1": late}, START + 299) == START + 300
    assert plan.mapping_deadline([held], "home", {}, NOW) is None


@pytest.mark.parametrize("here", ["office", None])
def test_the_way_back_to_a_stranded_mapping_is_looked_for_until_its_lease_is_over(
    here: str | None,
) -> None:
    stranded = mapping()
    permanent = replace(stranded, handle=(("permanent", "yes"),))
    soon, late = START + 599.0, START + 600.0
    assert plan.mapping_deadline([stranded], here, {}, soon) == soon + plan.LONGEST_SLEEP
    assert plan.mapping_deadline([stranded], here, {}, late) is None
    assert plan.mapping_deadline([permanent], here, {}, late) == late + plan.LONGEST_SLEEP
    assert plan.mapping_deadline([mapping(granted_until=None)], here, {}, soon) is None


def test_a_mapping_that_is_doubted_is_looked_at_now_and_once() -> None:
    held = mapping()
    doubted = plan.Seen(NOW, NOW + 30).doubted
    look = [plan.CheckMapping(held)]
    assert plan.mapping(WISH, [held], "home", {held.id: doubted}, NOW + 40) == look
    seen = {held.id: plan.Seen(doubted.since, NOW + 40)}
    assert plan.mapping(WISH, [held], "home", seen, NOW + 40) == []
