from __future__ import annotations

import pytest

from pairingd.core.addresses import is_public
from pairingd.core.double_nat import NotOpened
from pairingd.core.model import HostPort, Mapping, Problem, Session
from pairingd.core.records import replace
from pairingd.core.ways import (
    Endpoint,
    Ways,
    endpoint_changed,
    leads_straight,
    other_port,
    relay_slow,
    router_slow,
    shared_address,
    ssh_command,
    unclosed,
)
from pairingd.errors import GatewayError
from tests.core.make import BEYOND, mapping

HELD = mapping()
CGNAT = replace(HELD, external_host="100.64.3.4")
PINHOLE = replace(
    mapping(id="m6"),
    protocol="pcp",
    internal_host="2a00:1450::10",
    external_host="2a00:1450::10",
    external_port=40000,
)
UNSHOWN = replace(HELD, handle=(("unshown", "yes"),))
INSIDE = replace(HELD, external_host="192.168.0.7", external_port=50022)
OUTER = replace(HELD, id="m2", gateway="192.168.0.1", network=BEYOND.identity)
FAILED = GatewayError("router-failed", "because", "do that")
BY_HAND = ("home.example.org", 2022)


def endpoints(ways: Ways) -> list[Endpoint]:
    return ways.endpoints("192.168.1.10", 40000)


OWN6 = Endpoint("direct", "2a00:77::10", 40000)
DIAL = Endpoint("dial", "5.5.5.1", 62000, guest="github:octocat")
THROUGH = Endpoint("jump", "localhost", 40022, "ssh", via="relay", pinned=True)


def test_a_dial_comes_after_a_public_address_of_the_host_s_own() -> None:
    ways = Ways(HELD, direct="5.5.5.1", dials=(DIAL,))
    assert [endpoint.kind for endpoint in ways.endpoints("5.5.5.1", 40000)][:2] == [
        *("direct", "dial")
    ]
    assert kinds(Ways(HELD, dials=(DIAL,))) == ["dial", "router", "lan"]


def test_an_own_ipv6_address_comes_last_and_proves_nothing_until_somebody_comes() -> None:
    assert kinds(Ways(HELD, own6=OWN6)) == ["router", "direct", "lan"]
    assert kinds(Ways(through=THROUGH, own6=OWN6)) == ["jump", "direct", "lan"]
    alone = Ways(own6=OWN6)
    assert alone.endpoints("127.0.0.1", 40000) == [OWN6]
    assert alone.reachability(None) == "unverified"
    proven = replace(OWN6, verified="stranger")
    assert Ways(own6=proven).reachability(None) == "internet"
    dark = Ways(own6=proven, outside={(OWN6.host, OWN6.port): False})
    assert dark.reachability(None) == "unverified"


@pytest.mark.parametrize(
    ("chosen", "held", "warned"),
    [(True, 443, True), (True, 22, False), (False, 443, False), (True, None, False)],
)
def test_another_port_than_the_host_has_chosen_is_reported(
    chosen: bool, held: int | None, warned: bool
) -> None:
    session = Session("s1", 0, 22, port_chosen=chosen)
    forwarded = replace(HELD, external_port=held) if held else None
    problem = other_port(session, forwarded)
    assert (problem is not None) is warned
    assert problem is None or "443" in problem.message
    assert other_port(None, forwarded) is None


def warning(held: Mapping | None, **more: object) -> Problem | None:
    """What guests from the internet are warned of, if anything."""
    problems = Ways(held, **more).problems()  # type: ignore[arg-type]
    assert len(problems) < 2
    return problems[0] if problems else None


def kinds(ways: Ways) -> list[str]:
    return [endpoint.kind for endpoint in endpoints(ways)]


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        (Ways(), ["lan"]),
        (Ways(HELD), ["router", "lan"]),
        (Ways(HELD, PINHOLE), ["router", "ipv6", "lan"]),
        (Ways(CGNAT, PINHOLE), ["ipv6", "router", "lan"]),
        (Ways(None, PINHOLE), ["ipv6", "lan"]),
        (Ways(by_hand=BY_HAND), ["router", "lan"]),
        (Ways(replace(HELD, external_host="")), ["lan"]),
        (Ways(direct="5.5.5.9"), ["direct", "lan"]),
        (Ways(HELD, relay=("relay.example.org", 2022)), ["router", "relay", "lan"]),
        (Ways(CGNAT, relay=("relay.example.org", 2022)), ["relay", "router", "lan"]),
        (Ways(HELD, direct="192.168.1.10"), ["direct", "router"]),
        (Ways(through=Endpoint("jump", "localhost", 2022)), ["jump", "lan"]),
    ],
)
def test_the_best_endpoint_comes_first(ways: Ways, expected: list[str]) -> None:
    assert kinds(ways) == expected


def test_without_ipv4_the_ipv6_endpoint_is_that_of_this_network_too() -> None:
    [endpoint] = Ways(None, PINHOLE).endpoints("127.0.0.1", 40000)
    assert endpoint.kind == "ipv6"
    [endpoint] = Ways().endpoints("127.0.0.1", 40000)
    assert endpoint.kind == "lan"


def test_an_ipv6_endpoint_is_the_doors_own_without_brackets() -> None:
    [ipv6, _] = endpoints(Ways(None, PINHOLE))
    assert (ipv6.host, ipv6.port) == ("2a00:1450::10", 40000)


def test_only_an_endpoint_with_evidence_is_verified() -> None:
    def verified(ways: Ways) -> list[str | None]:
        return [endpoint.verified for endpoint in endpoints(ways)]

    assert verified(Ways(HELD, PINHOLE)) == [None, None, None]
    assert verified(Ways(HELD, PINHOLE, seen={"m6": "guest"})) == [None, "guest", None]
    assert verified(Ways(HELD, PINHOLE, seen={"m1": "readback"})) == ["readback", None, None]
    assert verified(Ways(by_hand=BY_HAND, seen={"m1": "guest"})) == [None, None]
    assert verified(Ways(by_hand=BY_HAND, witnessed="stranger")) == ["stranger", None]
    assert verified(Ways(direct="5.5.5.9", witnessed="stranger")) == ["stranger", None]


@pytest.mark.parametrize(
    ("ways", "code", "reach"),
    [
        (Ways(HELD), None, "internet"),
        (Ways(CGNAT), None, "unverified"),
        (Ways(CGNAT, PINHOLE), None, "internet"),
        (Ways(replace(HELD, external_host="home.example.org")), None, "unverified"),
        (Ways(UNSHOWN), None, "unverified"),
        (Ways(UNSHOWN, seen={"m1": "hairpin"}), None, "internet"),
        (Ways(UNSHOWN, seen={"m1": "guest"}), None, "internet"),
        (Ways(by_hand=BY_HAND), None, "unverified"),
        (Ways(by_hand=BY_HAND, witnessed="stranger"), None, "internet"),
        (Ways(HELD, unsteady=True), None, "unverified"),
        (Ways(HELD, unsteady=True, seen={"m1": "guest"}), None, "internet"),
        (Ways(direct="5.5.5.9"), "no-gateway", "internet"),
        (Ways(relay=("relay.example.org", 2022)), "no-gateway", "internet"),
        (Ways(), "double-nat", "unverified"),
        (Ways(), "no-gateway", "lan"),
        (Ways(), None, "lan"),
    ],
)
def test_reachability_follows_the_endpoints_the_evidence_and_the_error(
    ways: Ways, code: str | None, reach: str
) -> None:
    error = GatewayError(code, "", "") if code else None
    assert ways.reachability(error) == reach


def test_a_mapping_that_keeps_being_lost_is_warned_of() -> None:
    problem = warning(HELD, unsteady=True)
    assert problem
    assert problem.code == "mapping-unsteady"


def test_only_a_non_public_external_address_is_a_double_nat() -> None:
    problem = warning(CGNAT)
    assert problem
    assert problem.code == "double-nat"
    assert "[relay]" in problem.hint
    for host in ("5.5.5.1", "home.example.org"):
        assert warning(replace(HELD, external_host=host)) is None


@pytest.mark.parametrize(
    ("failed", "says", "hint"),
    [
        (None, "192.168.0.7 is not on the internet", "in front of it"),
        (NotOpened("192.168.0.1", True, FAILED), "router, 192.168.0.1, is silent", "192.168.0.1"),
        (NotOpened("192.168.0.1", False, FAILED), "192.168.0.1, refused: because", "192.168.0.7"),
        (NotOpened("", True, FAILED), "on the internet, and because", "do that"),
    ],
)
def test_a_second_router_is_named_and_whether_it_was_silent_or_refused(
    failed: NotOpened | None, says: str, hint: str
) -> None:
    problem = warning(INSIDE, second_failed=failed)
    assert problem
    assert problem.code == "double-nat"
    assert says in problem.message
    assert hint in problem.hint


def test_a_provider_that_opens_no_port_is_named_too() -> None:
    failed = NotOpened("192.0.0.9", False, FAILED)
    problem = warning(CGNAT, second_failed=failed)
    assert problem
    assert "the provider's PCP server, 192.0.0.9, refused" in problem.message


def test_a_port_on_the_second_router_is_the_routers_endpoint() -> None:
    ways = Ways(INSIDE, PINHOLE, second=OUTER, seen={"m2": "guest"})
    [best, *_] = endpoints(ways)
    assert (best.kind, best.host, best.port, best.verified) == ("router", "5.5.5.1", 22, "guest")
    assert ways.reachability(None) == "internet"
    assert ways.problems() == []


def test_a_third_router_in_front_leaves_the_endpoint_unverified() -> None:
    ways = Ways(INSIDE, second=replace(OUTER, external_host="10.0.0.2"))
    assert ways.reachability(None) == "unverified"
    [problem] = ways.problems()
    assert problem.code == "double-nat"
    assert "192.168.0.1: 10.0.0.2" in problem.message


def test_a_second_router_without_an_address_leaves_the_firsts_endpoint() -> None:
    ways = Ways(INSIDE, second=replace(OUTER, external_host=""))
    [best, *_] = endpoints(ways)
    assert best.host == "192.168.0.7"
    [problem] = ways.problems()
    assert problem.code == "double-nat"
    assert "the second router, 192.168.0.1, has no external address" in problem.message


def test_a_router_without_an_address_outside_is_warned_of() -> None:
    problem = warning(replace(HELD, external_host=""))
    assert problem
    assert problem.code == "no-external-address"
    assert warning(None) is None


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        (Ways(HELD, PINHOLE), HostPort("5.5.5.1", 22)),
        (Ways(CGNAT, PINHOLE), HostPort("100.64.3.4", 22)),
        (Ways(None, PINHOLE), HostPort("2a00:1450::10", 40000)),
        (Ways(), HostPort("192.168.1.10", 40000)),
    ],
)
def test_the_announced_endpoint_is_the_router_s_or_else_the_best(
    ways: Ways, expected: HostPort
) -> None:
    assert shared_address(endpoints(ways)) == expected


def test_a_warning_is_given_only_while_guests_hold_an_old_command() -> None:
    home, office = HostPort("5.5.5.1", 22), HostPort("5.5.6.1", 22)
    session = Session("s1", 0, 22, printed=home, announced=office)
    changed = endpoint_changed(session)
    assert changed
    assert "invite --show" in changed.hint
    assert endpoint_changed(replace(session, printed=office)) is None
    assert endpoint_changed(Session("s1", 0, 22)) is None
    assert endpoint_changed(None) is None


def test_an_unlisted_mapping_has_a_warning_until_a_guest_has_come_through_it() -> None:
    problem = warning(UNSHOWN)
    assert problem
    assert problem.code == "mapping-unshown"
    assert warning(UNSHOWN, seen={"m1": "guest"}) is None


def test_problems_of_a_router_name_its_port_and_a_remedy() -> None:
    still_open = unclosed(HELD)
    assert still_open.code == "mapping-unclosed"
    assert "port 22 " in still_open.message
    assert "pairctl log" in still_open.hint
    for slow, code in ((router_slow(), "router-slow"), (relay_slow(), "relay-slow")):
        assert slow.code == code
        assert "pairctl status" in slow.hint


@pytest.mark.parametrize(
    ("host", "public"), [("5.5.5.1", True), ("192.168.1.10", False), ("100.64.3.4", False)]
)
def test_is_public(host: str, public: bool) -> None:
    assert is_public(host) is public


def test_ssh_command_names_the_port_unless_it_is_ssh_s_own() -> None:
    assert ssh_command("mark", "5.5.5.1", 22) == "ssh mark@5.5.5.1"
    assert ssh_command("mark", "5.5.5.1", 2022) == "ssh -p 2022 mark@5.5.5.1"
    with_option = ssh_command("mark", "5.5.5.1", 22, "-o", "User=a b")
    assert with_option == "ssh -o 'User=a b' mark@5.5.5.1"


PLACE = (HELD.external_host, HELD.external_port)
DIRECT = ("5.5.5.9", 40000)


@pytest.mark.parametrize(
    ("ways", "verified", "reachability"),
    [
        (Ways(HELD, seen={"m1": "readback"}, outside={PLACE: True}), "outside", "internet"),
        (Ways(HELD, seen={"m1": "stranger"}, outside={PLACE: True}), "outside", "internet"),
        (Ways(HELD, seen={"m1": "guest"}, outside={PLACE: True}), "guest", "internet"),
        (Ways(HELD, seen={"m1": "readback"}, outside={PLACE: False}), None, "unverified"),
        (Ways(HELD, seen={"m1": "hairpin"}, outside={PLACE: False}), None, "unverified"),
        (Ways(HELD, seen={"m1": "stranger"}, outside={PLACE: False}), None, "unverified"),
        (Ways(HELD, seen={"m1": "guest"}, outside={PLACE: False}), None, "unverified"),
        (Ways(PINHOLE, seen={"m6": "guest"}, outside={PLACE: False}), "guest", "internet"),
        (Ways(HELD, seen={"m1": "readback"}, outside={DIRECT: False}), "readback", "internet"),
        (Ways(UNSHOWN, outside={PLACE: True}), "outside", "internet"),
        (Ways(HELD, unsteady=True, outside={PLACE: True}), "outside", "internet"),
        (Ways(by_hand=BY_HAND, outside={BY_HAND: True}), "outside", "internet"),
        (Ways(by_hand=BY_HAND, outside={BY_HAND: False}), None, "unverified"),
        (Ways(direct=DIRECT[0], outside={DIRECT: True}), "outside", "internet"),
        (Ways(direct=DIRECT[0], outside={DIRECT: False}), None, "unverified"),
        (Ways(direct=DIRECT[0], witnessed="guest", outside={DIRECT: False}), None, "unverified"),
        (Ways(direct=DIRECT[0], witnessed="guest", outside={DIRECT: True}), "guest", "internet"),
    ],
)
def test_a_look_from_outside_overrides_earlier_evidence(
    ways: Ways, verified: str | None, reachability: str
) -> None:
    assert endpoints(ways)[0].verified == verified
    assert ways.reachability(None) == reachability


def test_a_relay_comes_before_an_endpoint_that_was_not_reached_from_outside() -> None:
    relay = ("relay.example.org", 2022)
    assert kinds(Ways(HELD, relay=relay, outside={PLACE: False})) == ["relay", "router", "lan"]
    assert kinds(Ways(HELD, relay=relay, outside={PLACE: True})) == ["router", "relay", "lan"]


@pytest.mark.parametrize(
    ("kind", "host", "straight"),
    [
        ("router", "5.5.5.1", True),
        ("router", "me.example.net", True),
        ("router", "192.168.0.7", False),
        ("relay", "5.5.5.1", False),
        ("dial", "5.5.5.1", False),
    ],
)
def test_leads_straight_only_for_a_router_with_an_internet_address(
    kind: str, host: str, straight: bool
) -> None:
    assert leads_straight(kind, host) is straight
