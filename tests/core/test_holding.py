"""One event at a time; tests/core/test_holding_simulation.py has them in any order."""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Sequence
from functools import partial

import pytest

from pairingd.core.holding import next_deadline, step
from pairingd.core.holding_events import (
    Action,
    Again,
    Announced,
    Check,
    Clear,
    Close,
    Closed,
    CloseSecond,
    Distrust,
    Erase,
    Event,
    Fail,
    Granted,
    GuestCame,
    Journaled,
    Judge,
    Looked,
    LookFromOutside,
    Moved,
    NobodyToAsk,
    Note,
    Open,
    Outside,
    Presence,
    Record,
    Reflected,
    Refused,
    Renew,
    Serve,
    Settled,
    Silent,
    StrangerCame,
    Sweep,
    Swept,
    Tell,
    Wish,
    Wished,
    Woke,
)
from pairingd.core.holding_state import MAPPING, PINHOLE, SECOND, Holding, Look, Policy
from pairingd.core.model import HostPort, Mapping
from pairingd.core.network import Network
from pairingd.core.plan import LONGEST_SLEEP_S
from pairingd.core.records import replace
from pairingd.core.refusal import PairingError
from tests.core import make
from tests.core.make import BEYOND, HOME, OFFICE, START

mapping = partial(make.mapping, network=HOME.identity)
DOOR = 40000
PORTS = (DOOR, 22)
WISH = Wish(HOME, *PORTS)
NOW = START + 1.0
SILENT = PairingError("router-silent", "", "")
FAILED = PairingError("router-failed", "", "")
GONE = PairingError("no-gateway", "", "")


def requested(
    journal: Sequence[Mapping],
    looks: Map[str, Look],
    now: float,
    *,
    here: Network | None = HOME,
    ports: tuple[int, int] | None = PORTS,
) -> list[Action]:
    """What a round asks of the gateway, if nothing comes of the first request."""
    state = Holding(journal=tuple(journal), network=here, ports=ports, looks=looks)
    state, closing = step(state, Clear(), now)
    return [*closing, *step(state, Serve(), now)[1]]


def deadline(
    journal: Sequence[Mapping], looks: Map[str, Look], now: float, *, here: Network | None = HOME
) -> float | None:
    return next_deadline(Holding(journal=tuple(journal), network=here, looks=looks), now)


def test_a_mapping_is_requested_if_none_is_held() -> None:
    assert requested([], {}, NOW) == [Open(WISH)]


def test_a_recently_checked_mapping_is_left_alone_then_checked_then_renewed() -> None:
    held = mapping()
    seen = {held.id: Look(NOW, NOW + 30)}
    assert requested([held], seen, NOW + 30) == []
    assert requested([held], seen, NOW + 84) == []
    assert requested([held], seen, NOW + 85) == [Check(held)]
    assert requested([held], seen, START + 300) == [Renew(held)]


def test_a_mapping_found_in_the_journal_at_a_start_is_adopted_by_renewing_it() -> None:
    held = mapping()
    assert requested([held], {}, NOW) == [Renew(held)]


def test_a_mapping_that_does_not_lead_to_the_door_is_closed_before_another_opens() -> None:
    old = mapping(internal_port=39999)
    assert requested([old], {}, NOW) == [
        Close(old),
        Open(WISH),
    ]


def test_an_addition_that_was_interrupted_is_undone() -> None:
    asked = mapping(granted_until=None, renew_at=None)
    assert requested([asked], {}, NOW) == [
        Close(asked),
        Open(WISH),
    ]


def test_a_mapping_is_renewed_after_an_unanswered_check() -> None:
    held = mapping()
    seen = {held.id: Look(NOW, NOW + 30, answered=False)}
    assert requested([held], seen, NOW + 31) == [Renew(held)]


def test_a_mapping_without_a_renewal_time_is_closed_and_another_requested() -> None:
    given_up = mapping(renew_at=None)
    assert requested([given_up], {}, NOW) == [
        Close(given_up),
        Open(WISH),
    ]


def test_a_lease_that_has_run_out_is_over_but_not_where_the_router_keeps_none() -> None:
    held = mapping()
    assert not held.is_over(START + 599)
    assert held.is_over(START + 600)
    assert not replace(held, handle=(("permanent", "yes"),)).is_over(START + 600)
    assert not mapping(granted_until=None).is_over(START + 600)


def test_one_of_two_mappings_is_closed() -> None:
    first, second = mapping(), mapping(id="m2")
    checked = {"m1": Look(NOW, NOW)}
    assert requested([first, second], checked, NOW) == [Close(second)]


def test_a_mapping_of_another_network_is_never_deleted_from_this_one() -> None:
    stranded = mapping(network=OFFICE.identity)
    assert requested([stranded], {}, NOW, ports=None) == []
    assert requested([stranded], {}, NOW) == [Open(WISH)]


def test_without_a_network_nothing_is_requested() -> None:
    assert requested([mapping()], {}, NOW, here=None) == []


def test_a_new_mapping_is_checked_after_1_5_and_30_seconds_then_within_a_minute() -> None:
    held = mapping(renew_at=NOW + 1000)
    looked, at = [], NOW
    for _ in range(5):
        seen = {"m1": Look(NOW, at)}
        due = deadline([held], seen, at)
        assert due is not None
        assert requested([held], seen, due) == [Check(held)]
        looked.append(due - NOW)
        at = due
    assert looked == [1, 5, 30, 85, 140]


def test_a_mapping_is_checked_less_often_while_a_guest_is_connected() -> None:
    held = mapping(renew_at=NOW + 1000)
    seen = {"m1": Look(NOW, NOW + 60)}
    usually = Wished(PORTS)
    empty = Holding(journal=(held,), network=HOME, looks=seen)
    for came, wished, due in (
        (True, replace(usually, occupied=True), 210),
        (False, replace(usually, occupied=True), 210),  # by the LAN, say
        (True, usually, 115),  # and has left
    ):
        state, _ = after(empty, wished, *((GuestCame("9.9.9.9", DOOR),) if came else ()))
        assert next_deadline(state, NOW + 60) == NOW + due
        assert step(state, Serve(), NOW + due - 1)[1] == ()
        assert step(state, Serve(), NOW + due)[1] == (Check(held),)
    state, _ = after(empty, replace(usually, occupied=True), GuestCame("9.9.9.9", DOOR))
    state, _ = after(state, Looked(held, Presence.ABSENT), Granted(Renew(held), held), now=NOW + 90)
    state, _ = after(state, GuestCame("9.9.9.9", DOOR))
    assert next_deadline(state, NOW + 90) == NOW + 90 + 27.5  # it is known to get lost


@pytest.mark.parametrize(
    ("policy", "handle", "due", "quick"),
    [
        (MAPPING, (), 120, True),
        (MAPPING, (("unshown", "yes"),), 210, False),
        (PINHOLE, (), 210, False),
    ],
)
def test_a_mapping_that_is_shown_has_a_quick_look_within_a_minute_while_a_guest_is_in(
    policy: Policy, handle: tuple[tuple[str, str], ...], due: float, quick: bool
) -> None:
    held = replace(mapping(renew_at=NOW + 1000), handle=handle)
    empty = Holding(
        policy,
        (held,),
        HOME,
        looks={held.id: Look(NOW, NOW + 60)},
        read_back=frozenset({held.protocol}),
    )
    state, _ = after(empty, Wished(PORTS, occupied=True))
    assert next_deadline(state, NOW + 60) == NOW + due
    assert step(state, Serve(), NOW + due)[1] == (Check(held, quick),)


def test_a_clock_that_was_set_back_does_not_delay_the_next_check() -> None:
    held = mapping()
    seen = {held.id: Look(NOW + 3600, NOW + 3600)}
    assert requested([held], seen, NOW) == [Check(held)]


def test_a_held_mapping_is_next_checked_or_renewed_whichever_is_sooner() -> None:
    held = mapping()
    late = Look(START, START + 299.0)
    lately = Look(NOW, NOW + 30)
    assert deadline([held], {"m1": lately}, NOW + 30) == NOW + 85
    assert deadline([held], {"m1": late}, START + 299) == START + 300
    assert deadline([held], {}, NOW) is None


@pytest.mark.parametrize("here", [OFFICE, None])
def test_the_network_of_a_stranded_mapping_is_watched_for_until_its_lease_is_over(
    here: Network | None,
) -> None:
    stranded = mapping()
    permanent = replace(stranded, handle=(("permanent", "yes"),))
    soon, late = START + 599.0, START + 600.0
    assert deadline([stranded], {}, soon, here=here) == soon + LONGEST_SLEEP_S
    assert deadline([stranded], {}, late, here=here) is None
    assert deadline([permanent], {}, late, here=here) == late + LONGEST_SLEEP_S
    assert deadline([mapping(granted_until=None)], {}, soon, here=here) is None


def holding(*journal: Mapping, looks: Map[str, Look] | None = None) -> Holding:
    """At home, with the first of `journal` made at NOW and seen since."""
    seen = {entry.id: Look(NOW, NOW) for entry in journal[:1]} if looks is None else looks
    return Holding(journal=journal, network=HOME, ports=PORTS, looks=seen)


def after(state: Holding, *events: Event, now: float = NOW) -> tuple[Holding, list[Action]]:
    """The state after all `events`, and the actions of the last one."""
    actions: tuple[Action, ...] = ()
    for event in events:
        state, actions = step(state, event, now)
    return state, list(actions)


def lost(text: str) -> Note:
    return Note("mapping-lost", f"{text}; asking again", {"external_port": 22})


def test_after_an_announced_restart_a_mapping_is_checked_now_and_once() -> None:
    held = mapping()
    state = holding(held, looks={held.id: Look(NOW, NOW + 30)})
    state, actions = after(state, Announced(), now=NOW + 40)
    assert actions == [Again()]
    assert after(state, Serve(), now=NOW + 40)[1] == [Check(held)]
    state, _ = after(state, Looked(held, Presence.PRESENT), now=NOW + 40)
    assert after(state, Serve(), now=NOW + 40)[1] == []


def test_an_opened_mapping_is_logged_and_checked_from_outside() -> None:
    held = mapping()
    state, actions = after(holding(), Granted(Open(WISH), held))
    details = {"external_host": "5.5.5.1", "external_port": 22, "protocol": "upnp"}
    opened = Note("mapping-opened", "the router forwards port 22 to the door", details)
    assert actions == [LookFromOutside(held), opened]
    assert state.seen(held) == "answered"


@pytest.mark.parametrize(
    ("gateway", "external"),
    [("127.0.0.1", "5.5.5.1"), ("192.168.1.1", "10.1.2.3"), ("192.168.1.1", "")],
)
def test_a_loopback_router_and_a_private_address_are_not_checked_from_outside(
    gateway: str, external: str
) -> None:
    held = replace(mapping(), gateway=gateway, external_host=external)
    assert [type(action) for action in after(holding(), Granted(Open(WISH), held))[1]] == [Note]


def test_a_renewal_is_checked_from_outside_if_adopted_readdressed_or_seen_before() -> None:
    held = mapping()
    moved = replace(held, external_host="5.5.5.2")
    look = [LookFromOutside(held)]
    assert after(holding(held), Granted(Renew(held), held))[1] == []
    assert after(holding(held, looks={}), Granted(Renew(held), held))[1] == look
    assert after(holding(held), Granted(Renew(held), moved))[1] == [LookFromOutside(moved)]
    seen = after(holding(held), Reflected(held, Outside.OUR_DOOR))[0]
    assert after(seen, Granted(Renew(held), held))[1] == look


def test_a_mapping_found_present_is_followed_by_one_sweep_per_network() -> None:
    held, stranded = mapping(), replace(mapping(id="m2"), network="office", external_port=2022)
    state, actions = after(holding(held, stranded), Looked(held, Presence.PRESENT))
    assert actions == [Sweep(HOME, frozenset({22, 2022}))]
    assert after(state, Looked(held, Presence.PRESENT))[1] == []
    assert after(state, Swept(0))[1] == []
    text = "removed 2 of the router's forwards that were left here"
    assert after(state, Swept(2))[1] == [Note("recovered", text)]
    assert after(state, Refused(Sweep(HOME, frozenset()), FAILED)) == (state, [])


def test_an_absent_mapping_is_renewed_and_its_loss_noted_once() -> None:
    held = mapping()
    state, actions = after(holding(held), Looked(held, Presence.ABSENT))
    assert actions == [lost("the router has lost the mapping"), Renew(held)]
    assert after(state, Looked(held, Presence.ABSENT))[1] == [Renew(held)]
    state, _ = after(state, Granted(Renew(held), held))
    assert after(state, Looked(held, Presence.ABSENT))[1] == actions


def test_a_foreign_port_is_forgotten_and_not_closed() -> None:
    held = mapping()
    state, actions = after(holding(held), Looked(held, Presence.FOREIGN))
    text = "somebody else has taken the router's port"
    assert actions == [Erase(held), lost(text), Again()]
    assert state.looks == {}


def test_a_silent_gateway_fails_the_round_and_the_next_one_renews() -> None:
    held = mapping()
    state, actions = after(holding(held), Silent(Check(held), SILENT))
    assert actions == [Fail((SILENT,))]
    assert state.seen(held) is None
    assert after(state, Serve())[1] == [Renew(held)]
    adopted = holding(held, looks={})
    assert after(adopted, Silent(Renew(held), SILENT)) == (adopted, [Fail((SILENT,))])


def test_a_refused_renewal_is_followed_by_closing_and_opening() -> None:
    held = mapping()
    state, actions = after(holding(held), Refused(Renew(held), FAILED))
    text = "the router did not renew the mapping (router-failed); asking again"
    assert actions == [Close(held, text)]
    state, actions = after(state, Closed(Close(held, text)))
    assert actions == [Note("mapping-lost", text, {"external_port": 22}), Again()]
    assert after(replace(state, journal=()), Serve())[1] == [Open(WISH)]


def test_a_mapping_whose_protocol_is_gone_is_not_renewed_until_it_can_be_closed() -> None:
    held = mapping()
    given_up = replace(held, renew_at=None)
    state, actions = after(holding(held), Refused(Renew(held), GONE))
    note = Note(
        "mapping-lost", "no router answers to upnp any more; asking again", {"external_port": 22}
    )
    assert actions == [Record(given_up), note, Again()]
    state = replace(state, journal=(given_up,))
    assert after(state, Clear())[1] == [Close(given_up)]
    assert after(state, Serve())[1] == [Open(WISH)]


@pytest.mark.parametrize("answer", [Refused, Silent])
@pytest.mark.parametrize("over", [False, True])
def test_a_failed_close_fails_the_round_at_its_end_unless_the_lease_is_over(
    answer: type[Refused | Silent], over: bool
) -> None:
    left, now = mapping(internal_port=1), START + 600.0 if over else NOW
    failed = answer(Close(left), SILENT)
    state, actions = after(holding(left), Clear(), failed, now=now)
    assert actions == []
    without = frozenset({"upnp"} if answer is Silent else ())
    assert after(state, Serve(), now=now)[1] == [Open(WISH, without)]
    ends = [] if over else [Fail((SILENT,))]
    assert after(state, Settled(DOOR, None), now=now)[1] == ends
    refused = Refused(Open(WISH, without), FAILED)
    problems = (FAILED, SILENT) if answer is Silent else (FAILED,)
    assert after(state, refused, now=now)[1] == [Fail(problems)]
    assert after(state, Clear())[0].unclosed is None


def test_an_unreachable_endpoint_is_ignored_if_our_door_was_never_seen_there() -> None:
    held = mapping()
    state = holding(held)
    assert after(state, Reflected(held, Outside.NOBODY)) == (state, [])


def test_an_unreachable_mapping_is_re_created_once() -> None:
    held = mapping()
    state, actions = after(
        holding(held), Reflected(held, Outside.OUR_DOOR), Reflected(held, Outside.NOBODY)
    )
    assert actions == [Again()]
    text = "the router has the mapping but forwards nothing; asking again"
    assert after(state, Clear())[1] == [Close(held, text)]
    silent, _ = after(state, Silent(Close(held, text), SILENT))
    assert after(silent, Clear())[1] == [Close(held, text)]
    refused, actions = after(state, Refused(Close(held, text), FAILED))
    assert actions == [Fail((FAILED,))]
    assert requested([held], refused.looks, NOW) == []
    closed, actions = after(state, Closed(Close(held, text)))
    assert actions == [Note("mapping-lost", text, {"external_port": 22}), Again()]
    new = mapping(id="m2")
    closed = replace(closed, journal=(new,))
    assert after(closed, Reflected(new, Outside.NOBODY)) == (closed, [])


@pytest.mark.parametrize("seen", [Outside.NOBODY, Outside.ANOTHER_SERVER])
def test_what_is_found_to_be_lost_within_a_round_is_closed_before_another_opens(
    seen: Outside,
) -> None:
    held = mapping()
    state, _ = after(holding(held), Reflected(held, Outside.OUR_DOOR), Clear())
    state, actions = after(state, Reflected(held, seen))
    assert Again() in actions
    assert after(state, Serve())[1] == []
    [closing] = after(state, Clear())[1]
    assert isinstance(closing, Close)
    gone = replace(after(state, Closed(closing))[0], journal=())
    assert after(gone, Serve())[1] == [Open(WISH)]


def test_another_server_at_the_endpoint_is_a_verdict_and_the_mapping_is_closed_for_good() -> None:
    held = mapping()
    state, actions = after(holding(held), GuestCame("9.9.9.9", DOOR))
    assert actions == [Judge(held.network, honours=True)]
    assert after(state, GuestCame("9.9.9.9", DOOR))[1] == []
    state, actions = after(state, Reflected(held, Outside.OUR_DOOR))
    assert actions == [Judge(held.network, honours=True)]
    state, actions = after(state, Reflected(held, Outside.ANOTHER_SERVER))
    assert actions == [Judge(held.network, honours=False), Again()]
    assert state.seen(held) == "answered"
    text = "the router leads the port to another server; closing it"
    assert after(state, Clear())[1] == [Close(held, text)]
    for failed in (Silent(Close(held, text), SILENT), Refused(Close(held, text), FAILED)):
        kept, actions = after(state, failed)
        assert [type(action) for action in actions] == [Fail]
        assert after(kept, Clear())[1] == [Close(held, text)]
    _, actions = after(state, Closed(Close(held, text)))
    assert actions == [Note("mapping-lost", text, {"external_port": 22}), Again()]


def test_a_round_uses_the_current_journal_and_wish() -> None:
    other = mapping(id="m2", internal_port=40001)
    state, _ = after(holding(mapping()), Journaled((other,)), Wished((40001, 2022), chosen=True))
    assert state.journal == (other,)
    assert state.wish == Wish(HOME, 40001, 2022, chosen=True)
    assert after(state, Wished(None))[0].wish is None


def test_a_mapping_that_is_closed_is_noted() -> None:
    held = mapping()
    state, actions = after(holding(held), Closed(Close(held)))
    assert actions == [Note("mapping-closed", "the router's port 22 is closed")]
    assert state == holding(held)  # the journal has what there is


def test_a_mapping_between_equal_ports_shows_nothing_of_the_router() -> None:
    held = replace(mapping(), external_port=DOOR)
    assert after(holding(held), GuestCame("9.9.9.9", DOOR))[1] == []
    assert after(holding(held), Reflected(held, Outside.OUR_DOOR))[1] == []


def test_each_loss_halves_the_time_to_the_next_look_and_the_second_makes_it_unsteady() -> None:
    held = mapping()
    state, now, waits = holding(held), float(NOW), []
    state, _ = after(state, GuestCame("9.9.9.9", DOOR))
    for number in range(1, 7):
        now += 5
        state, actions = after(state, Looked(held, Presence.ABSENT), now=now)
        assert actions[-1] == Renew(held)
        assert state.evidence.guest is None
        state, actions = after(state, Granted(Renew(held), held), now=now)
        assert [action.text for action in actions if isinstance(action, Note)] == [
            "the router forwards port 22 to the door again"
        ]
        waits.append(state.looks[held.id].every)
        assert state.is_unsteady(held) is (number >= 2)
        assert state.seen(held) == (None if number >= 2 else "answered")
    assert waits == [27.5, 13.75, 6.875, 5.0, 5.0, 5.0]
    steady, _ = after(state, Looked(held, Presence.PRESENT), now=now + 601)
    assert not steady.is_unsteady(held)
    assert steady.looks[held.id].every == 55.0


def test_evidence_counts_for_one_address_and_a_guest_is_the_best() -> None:
    held = mapping()
    state, _ = after(holding(held), Reflected(held, Outside.OUR_DOOR))
    assert state.seen(held) == "hairpin"
    state, actions = after(state, StrangerCame("9.9.9.9", DOOR))
    assert (state.seen(held), actions) == ("stranger", [])
    state, _ = after(state, GuestCame("9.9.9.9", DOOR))
    assert state.seen(held) == "guest"
    state, _ = after(state, StrangerCame("9.9.9.9", DOOR))
    assert state.seen(held) == "guest"
    assert state.seen(replace(held, external_host="5.5.5.2")) == "answered"


def test_a_lost_mapping_must_be_reached_by_a_stranger_again() -> None:
    held = mapping()
    state, _ = after(holding(held), StrangerCame("9.9.9.9", DOOR))
    state, _ = after(state, Looked(held, Presence.ABSENT))
    state, _ = after(state, Granted(Renew(held), held))
    assert state.seen(held) == "answered"
    assert after(state, StrangerCame("9.9.9.9", DOOR))[0].seen(held) == "stranger"


@pytest.mark.parametrize(
    ("peer", "inside", "proves"),
    [
        ("9.9.9.9", "192.168.1.10", True),
        ("5.5.5.1", "192.168.1.10", False),
        ("192.168.1.30", "192.168.1.10", False),
        ("2a02::9", "192.168.1.10", False),
        ("2a02::9", "2a02:0:0:1::7", True),
        ("2a02:0:0:1::9", "2a02:0:0:1::7", False),
    ],
)
def test_only_a_guest_from_another_network_proves_an_endpoint(
    peer: str, inside: str, proves: bool
) -> None:
    held = replace(mapping(), internal_host=inside)
    state, _ = after(holding(held), GuestCame(peer, DOOR))
    assert state.seen(held) == ("guest" if proves else "answered")
    state, _ = after(holding(held), StrangerCame(peer, DOOR))
    assert state.seen(held) == ("stranger" if proves else "answered")
    assert after(holding(held), GuestCame(peer, None))[0].evidence.guest is None


def test_a_stranger_proves_no_private_endpoint() -> None:
    held = replace(mapping(), external_host="100.64.1.2")
    state, _ = after(holding(held), StrangerCame("9.9.9.9", DOOR))
    assert state.evidence.stranger is None


def test_a_port_that_the_host_has_chosen_is_renewed_at_that_port_alone() -> None:
    held = mapping()
    state, _ = after(holding(held, looks={}), Wished(PORTS, chosen=True))
    assert after(state, Serve())[1] == [Renew(held, exact=True)]


def test_a_long_sleep_has_the_mapping_renewed_and_a_short_one_does_not() -> None:
    held = mapping()
    assert after(holding(held), Woke(19.0), Serve())[1] == []
    assert after(holding(held), Woke(21.0), Serve())[1] == [Renew(held)]


UNNAMED = replace(HOME, gateway_mac="")


def test_a_gateway_that_shows_its_mac_later_is_the_same_one() -> None:
    made = mapping(network=UNNAMED.identity)
    state, actions = after(holding(made), Moved(HOME))
    assert actions == [Record(mapping())]
    assert state.network == HOME


@pytest.mark.parametrize("network", [HOME, OFFICE, replace(HOME, interface="wlan0")])
def test_another_network_with_a_mac_is_moved_to_and_names_no_mapping(network: Network) -> None:
    state, actions = after(holding(mapping()), Moved(network))
    assert actions == []
    assert state.network == network
    assert state.journal == (mapping(),)


@pytest.mark.parametrize(("before", "kept"), [(HOME, HOME), (None, None), (OFFICE, OFFICE)])
def test_a_gateway_that_hides_its_mac_is_not_trusted_with_another_ones_mapping(
    before: Network | None, kept: Network | None
) -> None:
    state = replace(holding(mapping()), network=before)
    after_, actions = after(state, Moved(UNNAMED))
    assert actions == [Distrust(HOME.gateway)]
    assert after_.network == kept
    elsewhere = replace(state, network=replace(HOME, interface="wlan0"))
    assert after(elsewhere, Moved(UNNAMED))[0].network is None


@pytest.mark.parametrize("network", [None, replace(HOME, gateway="")])
def test_without_a_gateway_a_round_ends_with_nobody_to_ask(network: Network | None) -> None:
    state, actions = after(holding(mapping()), Moved(network))
    assert actions == []
    assert state.wish is None
    assert after(state, Settled(DOOR, None))[1] == [NobodyToAsk()]
    assert after(state, Settled(None, None))[1] == []
    assert after(replace(state, policy=PINHOLE), Settled(DOOR, None))[1] == []


@pytest.mark.parametrize(
    ("announced", "actions"),
    [
        (None, [Tell(HostPort("5.5.5.1", 22), first=True)]),
        (HostPort("5.5.5.1", 22), []),
        (HostPort("5.5.5.9", 22), [Tell(HostPort("5.5.5.1", 22), first=False)]),
    ],
)
def test_an_endpoint_is_announced_when_it_has_changed(
    announced: HostPort | None, actions: list[Action]
) -> None:
    held = mapping()
    assert after(holding(held), Settled(DOOR, announced))[1] == actions
    assert after(holding(held), Settled(None, announced))[1] == []
    unaddressed = replace(held, external_host="")
    assert after(holding(unaddressed), Settled(DOOR, announced))[1] == []
    pinhole = replace(holding(held), policy=PINHOLE)
    assert after(pinhole, Settled(DOOR, announced))[1] == []


def test_a_pinhole_has_the_doors_own_port_outside() -> None:
    state = replace(holding(), policy=PINHOLE)
    assert after(state, Serve())[1] == [Open(Wish(HOME, DOOR, DOOR))]


def test_a_hole_needs_a_port_above_1023() -> None:
    held = mapping()  # of port 22
    seen = {held.id: Look(NOW, NOW)}
    state = replace(holding(held), looks=seen)
    wished, _ = after(state, Wished((DOOR, 50022), hole=True))
    assert after(wished, Clear())[1] == [Close(held)]
    high = replace(held, external_port=50022)
    wished, _ = after(replace(holding(high), looks=seen), Wished((DOOR, 50022), hole=True))
    assert after(wished, Clear(), Serve())[1] == []


INNER = replace(mapping(), external_host="192.168.0.7", external_port=50022)
OUTER = replace(
    make.mapping(id="m2", network=BEYOND.identity, internal_port=50022),
    gateway=BEYOND.gateway,
    internal_host="192.168.0.7",
)


def test_a_mapping_on_a_second_router_leads_to_the_first_routers_port() -> None:
    state = Holding(SECOND, (INNER,), network=BEYOND, ports=(50022, 22))
    assert step(state, Serve(), NOW)[1] == (Open(Wish(BEYOND, 50022, 22)),)
    held = replace(state, journal=(INNER, OUTER), looks={"m2": Look(NOW, NOW)})
    assert step(held, Clear(), NOW)[1] == ()
    assert step(held, Serve(), NOW)[1] == ()
    assert held.current(50022, NOW) == OUTER
    moved = replace(held, network=replace(BEYOND, behind="192.168.0.8"))
    assert moved.current(50022, NOW) is None
    assert step(replace(held, ports=(50023, 22)), Clear(), NOW)[1] == (Close(OUTER),)


@pytest.mark.parametrize(
    "outer",
    [
        replace(OUTER, internal_port=50023),
        replace(OUTER, internal_host="192.168.0.8"),
        replace(OUTER, network=replace(BEYOND, gateway_mac=OFFICE.gateway_mac).identity),
        replace(OUTER, network=HOME.identity),
    ],
)
def test_the_first_routers_mapping_is_closed_after_the_second_routers(outer: Mapping) -> None:
    state = Holding(journal=(INNER, OUTER), network=HOME)
    assert step(state, Clear(), NOW)[1] == (CloseSecond(), Close(INNER))
    assert CloseSecond() not in step(replace(state, journal=(INNER, outer)), Clear(), NOW)[1]
    serving = replace(state, ports=PORTS)
    assert step(serving, Clear(), NOW)[1] == ()


def test_each_policy_waits_only_for_its_own_journal_entries() -> None:
    stranded = Holding(journal=(OUTER,), network=HOME)
    assert next_deadline(stranded, NOW) is None
    assert next_deadline(replace(stranded, policy=SECOND), NOW) == NOW + LONGEST_SLEEP_S
    assert next_deadline(Holding(SECOND, (INNER,), network=None), NOW) is None


def test_a_second_router_is_not_swept_for_it_knows_all_behind_the_first_as_one() -> None:
    state = Holding(SECOND, (OUTER,), network=BEYOND)
    state, actions = step(state, Looked(OUTER, Presence.PRESENT), NOW)
    assert actions == ()


@pytest.mark.parametrize("host", ["192.168.0.7", "10.1.2.3", "172.31.0.1", "100.64.0.9", ""])
def test_an_endpoint_with_a_private_or_shared_address_is_not_announced(host: str) -> None:
    held = replace(mapping(), external_host=host)
    state = Holding(journal=(held,), network=HOME, looks={held.id: Look(NOW, NOW)})
    assert step(state, Settled(DOOR, HostPort("5.5.5.1", 22)), NOW)[1] == ()


def test_the_second_routers_endpoint_is_announced() -> None:
    state = Holding(SECOND, (INNER, OUTER), network=BEYOND, looks={"m2": Look(NOW, NOW)})
    way = HostPort("5.5.5.1", 22)
    assert step(state, Settled(50022, None), NOW)[1] == (Tell(way, first=True),)
    assert step(state, Settled(50022, HostPort("5.5.5.9", 22)), NOW)[1] == (Tell(way, first=False),)
    assert step(replace(state, network=None), Settled(50022, None), NOW)[1] == ()
