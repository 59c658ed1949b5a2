"""Simultaneous open: whom to dial, by which ports, and where the guest's command leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core import dial
from pairingd.core.addresses import guest_address, is_dialable
from pairingd.core.events import Dialing, Revoke
from pairingd.core.model import Conditions, Dial, HostPort, Invitation, State
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.core.rules import step
from tests.core.make import START, invitation, invite

DIAL = Dial("198.51.100.1", 61000, 61001)
WAY = HostPort("203.0.113.1", 61000)


def state_of(*invitations: Invitation) -> State:
    return step(State(), invite(*invitations), START)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("198.51.100.1", "198.51.100.1"),
        (" 5.5.5.2\n", "5.5.5.2"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("100.63.0.1", "100.63.0.1"),
        ("172.32.0.1", "172.32.0.1"),
    ],
)
def test_a_public_address_is_taken(text: str, address: str) -> None:
    assert guest_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "home.example.org", "198.51.100", "198.51.100.1:22", "198.51.100.0/24"),
        *("192.168.1.5", "10.0.0.1", "172.16.3.4", "100.64.0.2", "127.0.0.1", "169.254.1.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "2001:db8::1%eth0", "fd00::1", "ff02::1"),
        "::ffff:198.51.100.1",
    ],
)
def test_an_address_that_cannot_be_dialed_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        guest_address(text)
    assert refused.value.code == "bad-address"
    assert not is_dialable(text)


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_refreshed_returns_two_other_ports(number: int) -> None:
    fresh = dial.refreshed(DIAL, number)
    assert len({fresh.host_port, fresh.guest_port, DIAL.host_port, DIAL.guest_port}) == 4
    assert fresh.host_port in dial.PORTS
    assert fresh.guest_port in dial.PORTS
    assert fresh.address == DIAL.address


def test_only_guests_who_may_enter_are_dialed() -> None:
    live = replace(invitation("a", id="a"), dial=DIAL)
    later = replace(invitation("b", id="b", conditions=Conditions(opens_at=START + 60)), dial=DIAL)
    used = replace(
        invitation("c", id="c", conditions=Conditions(once=True)), dial=DIAL, came_at=START
    )
    state = state_of(live, later, used, invitation("d"))
    assert dial.to_dial(state, START) == {"a": live}
    assert dial.to_dial(state, START + 60) == {"a": live, "b": later}
    state = step(state, Revoke(("a",)), START)
    assert dial.to_dial(state, START) == {}


def test_the_ports_of_an_invitation_that_is_over_stay() -> None:
    state = state_of(replace(invitation("a", id="a"), dial=DIAL))
    fresh = replace(DIAL, host_port=62000)
    after = step(state, Dialing("a", fresh), START)
    assert dial.to_dial(after, START)["a"].dial == fresh
    over = step(state, Revoke(("a",)), START)
    assert step(over, Dialing("a", fresh), START) == over


@pytest.mark.parametrize(
    ("peer", "named", "source", "router", "host"),
    [
        ("198.51.100.1", "", "192.168.1.7", "203.0.113.1", "203.0.113.1"),
        ("198.51.100.1", "", "192.168.1.7", "100.64.0.2", ""),
        ("198.51.100.1", "", "192.168.1.7", "", ""),
        ("198.51.100.1", "", "203.0.113.9", "203.0.113.1", "203.0.113.9"),
        ("198.51.100.1", "me.example.net", "203.0.113.9", "", "me.example.net"),
        ("198.51.100.1", "203.0.113.5", "192.168.1.7", "", "203.0.113.5"),
        ("2001:db8::7", "203.0.113.5", "2001:db8::1", "203.0.113.1", "2001:db8::1"),
        ("2001:db8::7", "", "fe80::1", "203.0.113.1", ""),
        ("2001:db8::7", "me.example.net", "", "", "me.example.net"),
    ],
)
def test_outside_host_is_the_best_known_address_or_none(
    peer: str, named: str, source: str, router: str, host: str
) -> None:
    assert dial.outside_host(peer, named, source, router) == host


def test_the_guest_connects_from_the_port_that_is_dialed() -> None:
    assert dial.proxy(DIAL, WAY) == "nc -p 61001 203.0.113.1 61000"


def test_another_command_is_announced_after_the_visit() -> None:
    other = HostPort("203.0.113.1", 62000)
    printed = replace(DIAL, printed=WAY)
    assert dial.needs_announcing(printed, other, inside=False)
    assert not dial.needs_announcing(printed, other, inside=True)
    assert not dial.needs_announcing(printed, WAY, inside=False)
    assert not dial.needs_announcing(printed, None, inside=False)
    assert not dial.needs_announcing(DIAL, other, inside=False)


def test_an_unknown_address_is_a_problem_with_a_remedy() -> None:
    problem = dial.no_address("github:octocat")
    assert problem.code == "dial-no-address"
    assert "github:octocat" in problem.message
