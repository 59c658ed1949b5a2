"""A name for this network: where it is printed, when it is looked at, and when it is updated."""

from __future__ import annotations

import pytest

from pairingd.core import hostname
from pairingd.core.hostname import Name
from pairingd.core.model import HostPort
from pairingd.core.records import replace
from pairingd.core.ways import Endpoint
from tests.core.make import START

NAME = "me.example.net"
HERE, ELSEWHERE = "5.5.5.1", "5.5.5.9"
LEADS = Name(NAME).resolved(HERE, {HERE}, START)
STALE = Name(NAME).resolved(HERE, {ELSEWHERE}, START)
ROUTER = Endpoint("router", HERE, 22, "upnp", "readback")
LAN = Endpoint("lan", "192.168.1.10", 40000)


def hosts(name: Name | None, *endpoints: Endpoint) -> list[str]:
    return [endpoint.host for endpoint in hostname.named(endpoints, name)]


def test_the_name_comes_before_the_address_that_it_leads_to() -> None:
    assert hosts(LEADS, ROUTER, LAN) == [NAME, HERE, LAN.host]
    [by_name, by_address, _] = hostname.named([ROUTER, LAN], LEADS)
    assert by_name == replace(by_address, host=NAME)


def test_a_name_that_leads_elsewhere_is_not_printed() -> None:
    for name in (None, STALE, Name(NAME)):
        assert hosts(name, ROUTER, LAN) == [HERE, LAN.host]
    assert hosts(LEADS, replace(ROUTER, host=ELSEWHERE)) == [ELSEWHERE]
    assert hosts(LEADS, replace(ROUTER, kind="relay")) == [HERE]


def test_a_name_is_looked_up_sooner_while_it_points_elsewhere() -> None:
    assert LEADS.next_look(START) == START + 300
    name, waits = STALE, []
    for _ in range(9):
        waits.append(name.next_look(START) - START)
        name = name.resolved(HERE, {ELSEWHERE}, START)
    assert waits == [15, 15, 15, 30, 60, 120, 240, 240, 240]
    assert name.resolved(HERE, {HERE}, START).next_look(START) == START + 300


def test_each_address_is_handed_to_the_update_once() -> None:
    assert STALE.needs_update(START)
    assert not LEADS.needs_update(START)
    assert not Name(NAME).needs_update(START)
    done = STALE.after_update("", START)
    assert not done.needs_update(START + 1e6)
    assert done.resolved("5.5.5.2", {ELSEWHERE}, START).needs_update(START)


def test_an_update_that_failed_is_repeated_less_and_less_often() -> None:
    name, rests = STALE, []
    for _ in range(9):
        name = name.after_update("no reason given (status 1)", START)
        rests.append(next(at for at in range(4000) if name.needs_update(START + at)))
    assert rests == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert name.needs_update(START - 100)  # the clock was set back
    assert name.after_update("", START).failures == 0


def test_guests_get_the_address_where_the_name_does_not_follow() -> None:
    assert not LEADS.is_stale(START + 1e6)
    assert not STALE.is_stale(START + 179)
    assert STALE.is_stale(START + 180)
    assert STALE.resolved(HERE, {ELSEWHERE}, START + 100).is_stale(START + 180)
    moved = STALE.resolved("5.5.5.2", {ELSEWHERE}, START + 100)
    assert not moved.is_stale(START + 180)


def test_problems_say_where_the_name_leads_or_why_it_was_not_updated() -> None:
    assert LEADS.problem() is None
    assert Name(NAME).problem() is None
    stale = STALE.problem()
    assert stale
    assert stale.code == "hostname-stale"
    assert ELSEWHERE in stale.message
    nowhere = Name(NAME).resolved(HERE, (), START).problem()
    assert nowhere
    assert "no address" in nowhere.message
    many = Name(NAME).resolved(HERE, {f"5.5.6.{n}" for n in range(200)}, START).problem()
    assert many
    assert "5.5.6.100 and 196 more" in many.message
    failed = STALE.after_update("no route", START).problem()
    assert failed
    assert failed.code == "hostname-update-failed"
    assert "no route" in failed.message


@pytest.mark.parametrize(
    ("candidates", "here"),
    [
        (("192.168.1.10", "5.5.5.1"), "5.5.5.1"),
        (("5.5.5.7", "5.5.5.1"), "5.5.5.7"),
        (("192.168.1.10", "100.64.0.2", "203.0.113.1"), "203.0.113.1"),
        (("192.168.1.10", "home.example.org", ""), ""),
        ((), ""),
    ],
)
def test_the_networks_address_is_the_first_one_of_the_internet(
    candidates: tuple[str, ...], here: str
) -> None:
    assert hostname.public_address(candidates) == here


def test_guests_who_hold_the_name_need_no_other_command_for_another_address() -> None:
    address = HostPort("5.5.5.2", 22)
    assert hostname.held_by_name(HostPort(NAME, 22), NAME, address) == HostPort(NAME, 22)
    assert hostname.held_by_name(HostPort(HERE, 22), NAME, address) == address
    assert hostname.held_by_name(None, NAME, address) == address
    assert hostname.held_by_name(HostPort("", 22), "", address) == address
