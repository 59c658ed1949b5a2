"""A home with two routers: both are asked, both are closed, and what fails is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.e2e.network import HOST, WAN, until
from tests.e2e.people import FORGE_CONFIG, Guest, Host, speaks
from tests.e2e.two_routers import FIRST_WAN, SECOND_CONF, SECOND_LAN, TwoRouters

PERMITS_NOTHING = SECOND_CONF.replace("allow 1-65535", "deny 1-65535")


@pytest.fixture
def network(machine: None, request: pytest.FixtureRequest) -> Iterator[TwoRouters]:
    with TwoRouters(**getattr(request, "param", {})) as network:
        yield network


@pytest.fixture
def host(network: TwoRouters) -> Host:
    host = Host(network, network.host)
    host.configure(FORGE_CONFIG)
    return host


def speaking(host: Host, *protocols: str, more: str = "") -> None:
    host.configure(f"{FORGE_CONFIG}[router]\nprotocols = {list(protocols)}\n{more}")


def double_nat(answer: Any) -> str:
    """The warning's message; "" where there is none."""
    found = [one["message"] for one in answer["warnings"] if one["code"] == "double-nat"]
    return "".join(found)


def texts(host: Host) -> list[str]:
    return [event["text"] for event in host.asks("log")["events"]]


def settled(host: Host) -> Any:
    """The status once the second router has been asked."""

    def is_over(status: Any) -> bool:
        second = status.get("second_mapping")
        return bool(second) and second["state"] != "opening"

    return until("the second router was asked", host.status, is_over)


def nothing_is_forwarded(network: TwoRouters) -> Callable[[], bool]:
    return lambda: not network.forwards(network.router) and not network.forwards(network.second)


@pytest.mark.parametrize("protocol", ["pcp", "natpmp", "upnp"])
def test_a_guest_enters_through_both_routers_and_the_outer_is_closed_first(
    network: TwoRouters, host: Host, octocat: Guest, protocol: str
) -> None:
    speaking(host, protocol)
    invited = host.invites(octocat)
    settled(host)
    shown = host.asks("invite", "--show", octocat.name)
    best = shown["endpoints"][0]
    assert (best["kind"], best["host"], best["port"]) == ("router", WAN, 22)
    assert best["protocol"] == protocol
    assert shown["reachability"] == "internet"
    assert not double_nat(invited)
    door = host.status()["door"]["port"]
    assert network.forwards(network.router) == {22: f"{HOST}:{door}"}
    assert network.forwards(network.second) == {22: f"{FIRST_WAN}:22"}
    screen = octocat.joins(shown["command"])
    speaks(screen, "guest-is-here", screen)
    until(
        "the guest proves the endpoint",
        lambda: host.status()["endpoints"][0]["verified"],
        lambda seen: seen == "guest",
    )
    host.pairctl("end")
    until("nothing is forwarded", nothing_is_forwarded(network))
    closed = [text for text in texts(host) if text.endswith("port 22 is closed")]
    assert closed == ["the second router's port 22 is closed", "the router's port 22 is closed"]


def test_the_second_router_may_be_named_or_left_alone_and_a_stopped_daemon_closes_both(
    network: TwoRouters, host: Host, octocat: Guest
) -> None:
    speaking(host, "upnp", more='second_gateway = "off"\n')
    invited = host.invites(octocat)
    assert invited["reachability"] == "unverified"
    assert "second_mapping" not in host.status()
    assert "HTTP REQUEST" not in network.path("/srv/second/log").read_text()
    host.pairctl("end")
    host.pairctl("stop")
    url = f"http://{SECOND_LAN}:5000/rootDesc.xml"
    speaking(host, "upnp", more=f'second_description_url = "{url}"\n')
    host.invites(octocat)
    assert settled(host)["second_mapping"]["external_host"] == WAN
    host.signals_daemon("TERM")
    assert nothing_is_forwarded(network)()


@pytest.mark.waits
@pytest.mark.parametrize("network", [{"second_conf": "", "filters": True}], indirect=True)
def test_a_second_router_that_is_silent_is_named(
    network: TwoRouters, host: Host, octocat: Guest
) -> None:
    host.invites(octocat)
    status = settled(host)
    assert f"{SECOND_LAN}, is silent" in double_nat(status)
    shown = host.asks("invite", "--show", octocat.name)
    assert shown["reachability"] == "unverified"
    assert f"{SECOND_LAN}, is silent" in double_nat(shown)
    [doubt] = [one for one in host.status()["warnings"] if one["code"] == "unverified"]
    assert SECOND_LAN in doubt["hint"]
    host.pairctl("restart")
    settled(host)
    assert "unverified" in str(host.status()["warnings"])
    assert sum(f"; {doubt['hint']}" in text for text in texts(host)) == 1
    host.pairctl("end")
    until("nothing is forwarded", nothing_is_forwarded(network))


@pytest.mark.parametrize("network", [{"second_conf": PERMITS_NOTHING}], indirect=True)
# Where miniupnpd 2.3.1 may choose a port it tries all of them, for a minute in which other programs
# wait for the kernel's firewall, too: with NAT-PMP always, with PCP unless the port was chosen.
@pytest.mark.parametrize(("protocol", "options"), [("pcp", ("--port", "22")), ("upnp", ())])
def test_a_second_router_that_refuses_is_named(
    network: TwoRouters, host: Host, octocat: Guest, protocol: str, options: tuple[str, ...]
) -> None:
    speaking(host, protocol)
    host.invites(octocat, options=options)
    status = settled(host)
    assert f"{SECOND_LAN}, refused" in double_nat(status)
    assert status["second_mapping"]["state"] == "failed"
    assert status["mapping"]["state"] == "open"
    host.pairctl("end")
    until("nothing is forwarded", nothing_is_forwarded(network))
    terminal = host.attaches()
    terminal.shows("[pairing]")
    has_shown = terminal.recorded()
    host.invites(octocat, options=options)
    doubt = "nothing shows yet that guests on the internet can connect"
    until("the host is told", partial(has_shown, doubt))
    host.pairctl("end")
    until("nothing is forwarded", nothing_is_forwarded(network))


@pytest.mark.parametrize("protocol", ["pcp", "natpmp", "upnp"])
def test_a_killed_daemon_s_mappings_are_adopted_or_both_removed_at_the_next_start(
    network: TwoRouters, host: Host, octocat: Guest, protocol: str
) -> None:
    speaking(host, protocol)
    host.invites(octocat)
    settled(host)
    left = network.forwards(network.second)
    assert left
    host.signals_daemon("KILL")
    assert network.forwards(network.second) == left
    host.pairctl("start")
    assert settled(host)["second_mapping"]["state"] == "open"
    assert not [text for text in texts(host) if text.endswith("is closed")]
    assert network.forwards(network.second) == left
    deadline = host.expires_soon(octocat)
    host.signals_daemon("KILL")
    assert network.forwards(network.second) == left
    until("the time is up", lambda: time.time() > deadline)
    host.pairctl("start")
    until("nothing is forwarded", nothing_is_forwarded(network))


def test_a_daemon_killed_between_the_two_routers_leaves_nothing_open(
    network: TwoRouters, host: Host, octocat: Guest
) -> None:
    """Between the two openings, and between the two closings."""
    speaking(host, "pcp")
    network.is_deaf()
    host.invites(octocat)
    assert network.forwards(network.router)
    deadline = host.expires_soon(octocat)
    host.signals_daemon("KILL")
    until("the time is up", lambda: time.time() > deadline)
    network.is_deaf(deaf=False)
    host.pairctl("start")
    until("nothing is forwarded", nothing_is_forwarded(network))

    host.invites(octocat)
    settled(host)
    network.is_deaf()
    host.pairctl("end")
    until("the first router forwards nothing", lambda: not network.forwards(network.router))
    assert network.forwards(network.second)
    host.signals_daemon("KILL")
    network.is_deaf(deaf=False)
    host.pairctl("start")
    until("nothing is forwarded", nothing_is_forwarded(network))


@pytest.mark.parametrize("network", [{"shared": True}], indirect=True)
def test_a_guest_enters_by_the_providers_own_pcp_server(
    network: TwoRouters, host: Host, octocat: Guest
) -> None:
    host.invites(octocat)
    second = settled(host)["second_mapping"]
    assert (second["gateway"], second["protocol"]) == ("192.0.0.9", "pcp")
    shown = host.asks("invite", "--show", octocat.name)
    assert (shown["endpoints"][0]["host"], shown["reachability"]) == (WAN, "internet")
    screen = octocat.joins(shown["command"])
    speaks(screen, "guest-is-here", screen)
    host.pairctl("end")
    until("nothing is forwarded", nothing_is_forwarded(network))


@pytest.mark.parametrize("network", [{"shared": True, "second_conf": ""}], indirect=True)
def test_a_provider_without_a_pcp_server_is_named(
    network: TwoRouters, host: Host, octocat: Guest
) -> None:
    host.invites(octocat)
    assert "192.0.0.9, is silent" in double_nat(settled(host))


def ways(host: Host) -> list[str]:
    """The decision, as doctor prints it."""
    [found] = [one for one in host.asks("doctor", "--router")["checks"] if one["name"] == "ways"]
    details: list[str] = found["details"]
    return details


def test_doctor_tries_both_routers_and_leaves_neither_open(network: TwoRouters, host: Host) -> None:
    decision = ways(host)
    assert any(line.startswith(f"second router: works: {SECOND_LAN} forwards") for line in decision)
    assert any(line.startswith("router: unproven: ") for line in decision)
    assert any(line.startswith("relay: not tried: ") for line in decision)
    assert not network.forwards(network.router)
    assert not network.forwards(network.second)


@pytest.mark.waits
@pytest.mark.parametrize("network", [{"second_conf": ""}], indirect=True)
def test_doctor_says_why_the_second_router_does_not_help(network: TwoRouters, host: Host) -> None:
    assert any(line.startswith("second router: failed: ") for line in ways(host))
    assert f"{SECOND_LAN}, is silent" in "".join(ways(host))
    assert not network.forwards(network.router)
