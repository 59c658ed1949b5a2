"""Every way is named with what came of it, and the next thing to try is one that can help."""

from __future__ import annotations

import pytest

from pairingd.core import advice
from pairingd.core.advice import Attempt, Outcome, Routers
from pairingd.core.double_nat import NotOpened
from pairingd.core.model import Problem
from pairingd.core.records import replace
from pairingd.core.refusal import PairingError
from tests.core.make import BEYOND, mapping

HELD = mapping()
INSIDE = replace(HELD, external_host="192.168.0.7")
SHARED = replace(HELD, external_host="100.64.0.7")
SECOND = replace(HELD, id="m2", gateway="192.168.0.1", network=BEYOND.identity)
ERROR = PairingError("router-failed", "it failed", "restart it")
REFUSED = NotOpened("192.168.0.1", False, ERROR)
DOUBT = Problem("mapping-unshown", "it lists nothing", "forward by hand")


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        (Routers(used=False), "not tried: [router] enabled = false", "not tried: the first"),
        (Routers(), "not tried: it has not answered", "not tried: the first router has opened no"),
        (Routers(error=ERROR), "failed: it failed", "not tried: the first router has opened no"),
        (
            Routers(first=HELD),
            "works: 192.168.1.1 forwards its port 22, at 5.5.5.1",
            "needed",
        ),
        (Routers(first=HELD, warning=DOUBT), "unproven: it lists nothing", "not tried: not needed"),
        (Routers(first=INSIDE), "unproven: 192.168.1.1 forwards", "has not answered"),
        (Routers(first=INSIDE, asks_second=False), "192.168.0.7 is not on", 'gateway = "off"'),
        (
            Routers(first=INSIDE, second_failed=REFUSED),
            "unproven",
            "192.168.0.1, refused: it failed",
        ),
        (
            Routers(first=INSIDE, second=SECOND),
            "unproven",
            "works: 192.168.0.1 forwards its port 22",
        ),
    ],
)
def test_each_router_is_named_with_its_outcome(asked: Routers, first: str, second: str) -> None:
    router, second_router = advice.of_routers(asked)
    assert first in str(router)
    assert second in str(second_router)
    assert str(second_router).startswith("second router: ")


def test_the_providers_pcp_server_is_named_instead_of_a_second_router() -> None:
    _, server = advice.of_routers(Routers(first=SHARED))
    assert server.way == "provider's PCP server"


@pytest.mark.parametrize(
    ("attempt", "text"),
    [
        (advice.own_address("5.5.5.9"), "works: 5.5.5.9 is public"),
        (advice.own_address("192.168.1.10"), "not tried: 192.168.1.10 is not public"),
        (advice.own_address(""), "not tried: this machine has no IPv4 address"),
        (advice.by_hand("a.example", 22, proven=True), "works: somebody has reached"),
        (advice.by_hand("a.example", 22, proven=False), "unproven: nobody on the internet"),
        (advice.by_hand("fd00::1", 22, proven=False), "has reached the door by [fd00::1]:22"),
        (advice.pinhole(HELD, None, enabled=True), "works: the router lets port 22"),
        (advice.pinhole(None, ERROR, enabled=True), "failed: it failed"),
        (advice.pinhole(None, None, enabled=False), "not tried: [router] names"),
        (advice.pinhole(None, None, enabled=True), "not tried: this machine has no lasting IPv6"),
        (advice.pinhole(None, None, enabled=True, address="2a00::1"), "has not answered yet"),
        (advice.relay(None, configured=False, proven=None), "not tried: none is configured"),
        (advice.relay(ERROR, configured=True, proven=None), "failed: it failed"),
        (advice.relay(None, configured=True, proven=None), "not tried: it is asked while"),
        (advice.relay(None, configured=True, proven=False), "unproven: it stands"),
        (advice.relay(None, configured=True, proven=True), "works: the door was seen there"),
        (advice.hole("stun.example", None, proven=None), "not tried: no router forwards"),
        (advice.hole("stun.example", HELD, proven=None), "not tried: no router forwards"),
        (advice.hole("stun.example", SHARED, proven=None), "not tried: the STUN server"),
        (advice.hole("", SHARED, proven=None), "not tried: no [cgnat] stun server"),
        (advice.hole("stun.example", SHARED, proven=False), "unproven: nobody has come"),
        (advice.hole("stun.example", SHARED, proven=True), "works: somebody on the internet"),
        (advice.dial(proven=None), "not tried: no guest is invited --from"),
        (advice.dial(proven=False), "unproven: no guest who is dialed"),
        (advice.dial(proven=True), "works: a guest who is dialed"),
    ],
)
def test_every_other_attempt_is_named_with_its_outcome(attempt: Attempt, text: str) -> None:
    assert text in str(attempt)


def test_the_next_step_fixes_a_failed_router_before_it_suggests_the_relay() -> None:
    relay = advice.relay(None, configured=False, proven=None)
    routers = advice.of_routers(Routers(first=INSIDE, second_failed=REFUSED))
    assert "192.168.0.1" in advice.next_step([*routers, relay])
    assert "[relay]" in advice.next_step([*advice.of_routers(Routers(first=HELD)), relay])
    assert advice.next_step([Attempt("x", Outcome.FAILED, "it failed")]) == ""


def test_the_next_step_with_a_guest_who_is_dialed_is_that_they_connect() -> None:
    relay = advice.relay(None, configured=False, proven=None)
    assert advice.next_step([relay, advice.dial(proven=False)]) == "have the guest connect"


def test_the_unverified_warning_has_the_next_step_as_hint() -> None:
    warning = advice.unverified([advice.by_hand("a.example", 2022, proven=False)])
    assert warning.code == "unverified"
    assert "2022" in warning.hint
    assert "have the guest connect" in advice.unverified([]).hint
