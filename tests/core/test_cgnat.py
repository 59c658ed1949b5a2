"""A hole in the provider's NAT: when one is made, and what is said of it."""

from __future__ import annotations

import pytest

from pairingd.core import cgnat
from pairingd.core.model import HostPort
from pairingd.core.records import replace
from pairingd.core.ways import Endpoint, Ways, shared_address
from tests.core.make import mapping

BEHIND = replace(mapping(), external_host="100.64.3.4", external_port=50022)
HOLE = Endpoint("cgnat", "203.0.113.1", 40022, "stun")
PROVEN = replace(HOLE, verified="guest")
DIAL = Endpoint(
    "dial", "203.0.113.1", 61000, proxy="nc -p 61001 203.0.113.1 61000", guest="octocat"
)
RELAY = ("relay.example.org", 2022)


@pytest.mark.parametrize(
    ("forwarded", "port"),
    [
        (None, None),
        (HostPort("100.64.3.4", 50022), 50022),
        (HostPort("10.1.2.3", 1024), 1024),
        (HostPort("100.64.3.4", 22), None),
        (HostPort("5.5.5.1", 50022), None),
        (HostPort("home.example.org", 50022), None),
        (HostPort("", 50022), None),
    ],
)
def test_a_hole_is_made_only_from_a_port_that_is_forwarded_behind_another_nat(
    forwarded: HostPort | None, port: int | None
) -> None:
    assert cgnat.source_port(forwarded) == port


@pytest.mark.parametrize(
    ("ways", "kinds", "reach"),
    [
        (Ways(BEHIND, hole=HOLE), ["cgnat", "router", "lan"], "unverified"),
        (Ways(BEHIND, hole=PROVEN), ["cgnat", "router", "lan"], "internet"),
        (Ways(BEHIND, hole=HOLE, relay=RELAY), ["relay", "cgnat", "router", "lan"], "internet"),
        (Ways(BEHIND, hole=PROVEN, relay=RELAY), ["cgnat", "relay", "router", "lan"], "internet"),
        (Ways(BEHIND, hole=HOLE, dials=(DIAL,)), ["dial", "cgnat", "router", "lan"], "unverified"),
        (Ways(dials=(DIAL,)), ["dial", "lan"], "unverified"),
        (Ways(dials=(replace(DIAL, verified="guest"),)), ["dial", "lan"], "internet"),
    ],
)
def test_an_unproven_hole_comes_after_the_relay_and_a_proven_one_before_it(
    ways: Ways, kinds: list[str], reach: str
) -> None:
    assert [endpoint.kind for endpoint in ways.endpoints("192.168.1.10", 40000)] == kinds
    assert ways.reachability(None) == reach


def test_a_hole_has_a_warning_until_a_client_has_come_through_it() -> None:
    [problem] = Ways(BEHIND, hole=HOLE).problems()
    assert problem.code == "cgnat-unproven"
    assert "203.0.113.1:40022" in problem.message
    assert "--from" in problem.hint
    assert Ways(BEHIND, hole=PROVEN).problems() == []


def test_the_announced_endpoint_is_the_hole_and_never_another_guests_ports() -> None:
    endpoints = Ways(BEHIND, hole=HOLE, dials=(DIAL,)).endpoints("192.168.1.10", 40000)
    assert shared_address(endpoints) == HostPort(HOLE.host, HOLE.port)


def test_a_stun_server_that_does_not_help_is_named() -> None:
    assert cgnat.stun_problem("stun.example.org", None, "") is None
    assert cgnat.stun_problem("stun.example.org", ("203.0.113.1", 40022), "") is None
    for seen, failure in ((None, "no answer in time"), (("192.168.1.10", 40022), "")):
        problem = cgnat.stun_problem("stun.example.org", seen, failure)
        assert problem
        assert problem.code == "stun-failed"
        assert "stun.example.org" in problem.message
        assert (failure or "192.168.1.10") in problem.message


def test_a_loopback_address_from_a_stun_server_is_no_endpoint() -> None:
    assert cgnat.outside(("203.0.113.1", 40022)) == HostPort("203.0.113.1", 40022)
    assert cgnat.outside(("127.0.0.1", 40022)) is None
    assert cgnat.outside(None) is None
