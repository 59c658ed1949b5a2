"""A host behind the provider's NAT: a hole in it, where it lets strangers in, and where not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.carrier import INSIDE, STUN, Carrier
from tests.e2e.network import WAN, until
from tests.e2e.people import FORGE_CONFIG, Guest, Host, speaks

CONFIG = f"""{FORGE_CONFIG}
[router]
protocols = ["natpmp"]
[cgnat]
stun = "{STUN}"
"""


@pytest.fixture
def network(machine: None, request: pytest.FixtureRequest) -> Iterator[Carrier]:
    with Carrier(**request.param) as network:
        yield network


def behind(*, cone: bool) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("network", [{"cone": cone}], indirect=True)


def hole(host: Host) -> Any:
    return next((one for one in host.status()["endpoints"] if one["kind"] == "cgnat"), None)


def invites(network: Carrier, host: Host, guest: Guest, config: str = CONFIG) -> Any:
    network.speaks_natpmp()
    host.configure(config)
    host.invites(guest)
    until("the server has answered", lambda: hole(host))
    return host.asks("invite", "--show", guest.name, "--no-copy")


@behind(cone=True)
def test_a_guest_gets_in_by_the_hole_of_an_open_nat(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(network, host, octocat)
    best = invited["endpoints"][0]
    assert (best["kind"], best["host"], best["verified"]) == ("cgnat", WAN, None)
    assert invited["reachability"] == "unverified"
    assert "cgnat-unproven" in {one["code"] for one in invited["warnings"]}
    kinds = [event["kind"] for event in host.asks("log")["events"]]
    assert "unverified" not in kinds[: kinds.index("hole-opened")]
    hosts_screen = host.attaches()
    guests_screen = octocat.joins(invited["pinned_command"])
    speaks(guests_screen, "guest-is-here", guests_screen, hosts_screen)
    shown = host.asks("invite", "--show", octocat.name, "--no-copy")
    assert shown["endpoints"][0] == {**best, "verified": "guest"}
    assert shown["reachability"] == "internet"
    assert "cgnat-unproven" not in {one["code"] for one in shown["warnings"]}
    host.pairctl("end")
    guests_screen.ends()
    until("nothing goes out any more", lambda: not network.keeps(best["port"]))


@behind(cone=False)
def test_an_endpoint_behind_a_filtering_nat_is_never_reported_as_reachable(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(network, host, octocat)
    tried = octocat.joins(invited["pinned_command"], "-o ConnectTimeout=8")
    assert tried.ends() == 255
    shown = host.asks("invite", "--show", octocat.name, "--no-copy")
    assert (shown["endpoints"][0]["kind"], shown["reachability"]) == ("cgnat", "unverified")
    assert shown["endpoints"][0]["verified"] is None


@behind(cone=True)
def test_without_a_stun_server_nothing_goes_to_a_stranger(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    network.speaks_natpmp()
    host.configure(CONFIG.replace(STUN, ""))
    invited = host.invites(octocat)
    assert {one["kind"] for one in invited["endpoints"]} == {"router", "lan"}
    assert invited["endpoints"][0]["host"] == INSIDE
    assert "double-nat" in {one["code"] for one in invited["warnings"]}
    assert not network.path("/srv/stun.log").read_text()


@behind(cone=True)
def test_a_killed_daemon_keeps_no_hole_and_a_new_one_has_the_same(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(network, host, octocat)
    port = invited["endpoints"][0]["port"]
    host.signals_daemon("KILL")
    assert not network.keeps(port)
    host.pairctl("start")
    until("the hole is there again", lambda: hole(host))
    assert hole(host)["command"] == invited["command"]
    guests_screen = octocat.joins(invited["pinned_command"])
    speaks(guests_screen, "guest-is-here", guests_screen)


@behind(cone=True)
def test_a_dialed_guest_gets_the_dial_endpoint_before_the_hole(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invites(network, host, octocat)
    host.pairctl("revoke", octocat.name)
    invited = host.invites(octocat, options=("--from", "5.5.5.2"))
    assert [one["kind"] for one in invited["endpoints"]][:2] == ["dial", "cgnat"]
