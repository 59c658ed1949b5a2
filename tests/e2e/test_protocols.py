"""The real miniupnpd in every shape, and a host that is killed, renumbered and carried about."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.e2e.network import (
    HOST,
    HOST6,
    LAN,
    MINIUPNPD,
    OFFICE_WAN,
    WAN,
    Network,
    Place,
    until,
)
from tests.e2e.people import CONFIG, FORGE_CONFIG, Guest, Host, speaks

RESTORED = 180.0  # seconds; where no announcement is heard the next look may be a minute away
NO_UPNP = MINIUPNPD.replace("enable_upnp=yes", "enable_upnp=no")
NO_PXP = MINIUPNPD.replace("enable_natpmp=yes", "enable_natpmp=no")
HIGH_ONLY = MINIUPNPD.replace("allow 1-65535", "allow 1024-65535")

ONLY_PCP: dict[str, Any] = {"conf": NO_UPNP}
ONLY_UPNP: dict[str, Any] = {"conf": NO_PXP}


def speaking(host: Host, *protocols: str) -> None:
    """The host finds the router by itself; no protocols named: any."""
    named = f"protocols = {list(protocols)}\n" if protocols else ""
    host.configure(f"{CONFIG.partition('[router]')[0]}[router]\n{named}")


def enters(guest: Guest, command: str) -> None:
    screen = guest.joins(command)
    speaks(screen, "guest-is-here", screen)


def forwarded(network: Network, host: Host, place: Place | None = None) -> dict[int, str]:
    """What the router forwards to the door as it stands now."""
    door = f":{host.status()['door']['port']}"
    return {at: to for at, to in network.forwards(place).items() if to.endswith(door)}


def warned(answer: Any) -> list[str]:
    return [warning["code"] for warning in answer["warnings"]]


def kinds(host: Host) -> list[str]:
    return [event["kind"] for event in host.asks("log")["events"]]


@pytest.mark.parametrize(
    ("network", "protocols", "spoken"),
    [({"conf": NO_PXP, "options": ("-1",)}, (), "upnp"), (ONLY_PCP, ("upnp", "natpmp"), "natpmp")],
    ids=["UPnP only, IGDv1", "no UPnP, no PCP"],
    indirect=["network"],
)
def test_a_guest_enters_by_the_protocol_that_the_router_speaks_and_nothing_is_left(
    network: Network, host: Host, octocat: Guest, protocols: tuple[str, ...], spoken: str
) -> None:
    speaking(host, *protocols)
    invited = host.invites(octocat)
    best = invited["endpoints"][0]
    assert (best["kind"], best["host"], best["port"]) == ("router", WAN, 22)
    assert best["protocol"] == spoken
    assert invited["reachability"] == "internet"
    enters(octocat, invited["command"])
    assert list(network.forwards()) == [22]
    host.pairctl("end")
    until("nothing is forwarded", lambda: not network.forwards())


@pytest.mark.parametrize(
    ("address", "kinds"),
    [(HOST, ["router", "lan"]), (HOST6, ["ipv6", "lan"]), ("127.0.0.1", ["lan"])],
    ids=["IPv4", "IPv6", "loopback"],
)
def test_no_port_is_requested_for_an_address_at_which_the_door_does_not_listen(
    network: Network, host: Host, octocat: Guest, address: str, kinds: list[str]
) -> None:
    host.configure(f'{FORGE_CONFIG}\n[door]\naddress = "{address}"\n')
    invited = host.invites(octocat)
    assert [endpoint["kind"] for endpoint in invited["endpoints"]] == kinds
    assert bool(network.forwards()) == ("router" in kinds)
    assert bool(network.pinholes()) == ("ipv6" in kinds)
    assert ("no-gateway" in warned(invited)) == (kinds == ["lan"])


@pytest.mark.parametrize(
    ("network", "protocols"),
    [({"conf": HIGH_ONLY}, ()), ({"conf": HIGH_ONLY}, ("upnp",))],
    ids=["PCP", "UPnP"],
    indirect=["network"],
)
def test_if_port_22_is_not_available_the_same_high_port_is_always_used(
    network: Network, host: Host, octocat: Guest, protocols: tuple[str, ...]
) -> None:
    speaking(host, *protocols)
    before = network.forwards()
    invited = host.invites(octocat)
    assert invited["endpoints"][0]["port"] > 1024
    enters(octocat, invited["command"])
    host.pairctl("end")
    until("only what was there is left", lambda: network.forwards() == before)
    assert host.invites(octocat)["command"] == invited["command"]


@pytest.mark.waits
@pytest.mark.parametrize(
    ("network", "protocols"),
    [
        (ONLY_PCP, ("pcp",)),
        (ONLY_PCP, ("natpmp",)),
        (ONLY_UPNP, ("upnp",)),
    ],
    ids=["PCP", "NAT-PMP", "UPnP"],
    indirect=["network"],
)
def test_the_mapping_is_back_soon_after_the_router_s_restart(
    network: Network, host: Host, octocat: Guest, protocols: tuple[str, ...]
) -> None:
    speaking(host, *protocols)
    command = host.invites(octocat)["command"]
    # A gateway that was on for a moment only cannot be told from one that went on (RFC 6887 8.5).
    until("the router has been on for a while", lambda: network.upnp_seconds() > 12)
    network.restart_upnp()
    until("the mapping is back", network.forwards, within=RESTORED)
    assert "mapping-lost" in kinds(host)
    enters(octocat, command)


@pytest.mark.parametrize(
    ("network", "protocols"),
    [(ONLY_PCP, ("pcp",)), (ONLY_PCP, ("natpmp",)), (ONLY_UPNP, ("upnp",))],
    ids=["PCP", "NAT-PMP", "UPnP"],
    indirect=["network"],
)
def test_a_killed_daemon_s_mapping_is_adopted_or_removed_at_the_next_start(
    network: Network, host: Host, octocat: Guest, protocols: tuple[str, ...]
) -> None:
    speaking(host, *protocols)
    command = host.invites(octocat)["command"]
    left = network.forwards()
    assert list(left) == [22]
    host.signals_daemon("KILL")
    assert network.forwards() == left
    host.pairctl("start")
    until("the mapping is ours again", lambda: host.status()["mapping"]["state"] == "open")
    assert network.forwards() == left
    enters(octocat, command)
    deadline = host.expires_soon(octocat)
    host.signals_daemon("KILL")
    assert network.forwards() == left
    until("the time is up", lambda: time.time() > deadline)
    host.pairctl("start")
    until("nothing is forwarded", lambda: not network.forwards())


def test_a_host_with_a_new_address_is_reached_at_it(
    network: Network, host: Host, octocat: Guest
) -> None:
    speaking(host)
    host.invites(octocat)
    renumbered = HOST.replace(".10", ".20")
    network.root.run(
        *("ip", "-batch", "-"),
        given=f"addr del {HOST}/24 dev eth0\naddr add {renumbered}/24 dev eth0\n"
        f"route add default via {LAN}\n",
    )
    until(
        "the door is forwarded at the new address",
        lambda: any(to.startswith(renumbered) for to in forwarded(network, host).values()),
    )
    enters(octocat, host.asks("invite", "--show", octocat.name)["command"])


@pytest.mark.parametrize("network", [{"office": True}], indirect=True)
@pytest.mark.parametrize("protocol", ["pcp", "natpmp", "upnp"])
def test_a_laptop_that_moves_leaves_the_old_router_alone_and_clears_up_when_it_returns(
    network: Network, host: Host, octocat: Guest, protocol: str
) -> None:
    speaking(host, protocol)
    command = host.invites(octocat)["command"]
    at_home = network.forwards()
    network.moves()
    until("the new router forwards", lambda: forwarded(network, host, network.office))
    asked = network.path("/srv/office/log").read_text()
    assert "AddPortMapping" in asked or "mapping request" in asked or "PCP MAP" in asked
    assert not re.search("#DeletePortMapping|lifetime=0s|PCP.*remove", asked)
    assert network.forwards() == at_home
    until("the host is told", lambda: "endpoint-changed" in kinds(host))
    assert "endpoint-changed" in warned(host.status())
    moved = host.asks("invite", "--show", octocat.name)
    assert "endpoint-changed" not in warned(moved) + warned(host.status())
    assert moved["endpoints"][0]["host"] == OFFICE_WAN
    assert moved["command"] != command
    assert network.greets(network.guest, OFFICE_WAN, 22)
    host.pairctl("end")
    until("it is closed there", lambda: not network.forwards(network.office))
    assert network.forwards() == at_home
    network.moves()
    until("what was left at home is removed", lambda: not network.forwards())


def test_ipv6_has_a_pinhole_of_its_own_beside_the_mapping(
    network: Network, host: Host, octocat: Guest
) -> None:
    speaking(host)
    host.invites(octocat)
    ways = {each["kind"]: each for each in pinholed(host)}
    door = host.status()["door"]["port"]
    assert (ways["ipv6"]["host"], ways["ipv6"]["port"]) == (HOST6, door)
    assert ways["ipv6"]["command"].endswith(f"@{HOST6}")
    assert ways["router"]["port"] == 22
    enters(octocat, ways["ipv6"]["command"])
    enters(octocat, ways["router"]["command"])
    host.pairctl("end")
    until("both are gone", lambda: not network.forwards() and not network.pinholes())
    host.invites(octocat)
    pinholed(host)
    host.signals_daemon("TERM")
    until("both are gone", lambda: not network.forwards() and not network.pinholes())


@pytest.mark.waits
def test_a_pinhole_is_back_soon_after_the_router_s_restart(
    network: Network, host: Host, octocat: Guest
) -> None:
    speaking(host)
    host.invites(octocat)
    ways = {each["kind"]: each for each in pinholed(host)}
    until("the router has been on for a while", lambda: network.upnp_seconds() > 12)
    network.restart_upnp()
    until("the pinhole is back", network.pinholes, within=RESTORED)
    enters(octocat, ways["ipv6"]["command"])


@pytest.mark.parametrize("gateway", ["global", "link-local"])
def test_ipv6_has_a_pinhole_by_upnp_where_there_is_no_pcp(
    network: Network, host: Host, octocat: Guest, gateway: str
) -> None:
    network.silences_pcp()
    if gateway == "link-local":
        network.routes_by_link_local_address()
    speaking(host)
    host.invites(octocat)
    ways = {each["kind"]: each for each in pinholed(host)}
    door = host.status()["door"]["port"]
    assert (ways["ipv6"]["host"], ways["ipv6"]["port"]) == (HOST6, door)
    assert ways["ipv6"]["protocol"] == "upnp"
    assert network.greets(network.guest, f"[{HOST6}]", door)
    enters(octocat, ways["ipv6"]["command"])
    host.pairctl("end")
    until("both are gone", lambda: not network.forwards() and not network.pinholes())
    assert not network.greets(network.guest, f"[{HOST6}]", door)


def test_a_killed_daemon_s_pinhole_by_upnp_is_removed_at_the_next_start(
    network: Network, host: Host, octocat: Guest
) -> None:
    speaking(host, "upnp")
    host.invites(octocat)
    pinholed(host)
    left = network.pinholes()
    deadline = host.expires_soon(octocat)
    host.signals_daemon("KILL")
    assert network.pinholes() == left
    until("the time is up", lambda: time.time() > deadline)
    assert network.pinholes() == left
    host.pairctl("start")
    until("it is removed", lambda: not network.pinholes())


@pytest.mark.waits
def test_a_pinhole_by_upnp_is_renewed_and_still_ends_with_a_dead_daemon(
    network: Network, host: Host, octocat: Guest
) -> None:
    router = "[router]\nprotocols = ['upnp']\nlease = '6s'\n"
    host.configure(f"{CONFIG.partition('[router]')[0]}{router}")
    host.invites(octocat)
    pinholed(host)
    for _ in range(3):  # half a lease each; miniupnpd makes the rule anew when it is told to renew
        known: list[list[str]] = [[], network.pinholes()]
        until("a renewal", lambda: network.pinholes() not in known)  # noqa: B023 - called here alone
    assert "mapping-lost" not in kinds(host)
    host.signals_daemon("KILL")
    until("the lease has ended", lambda: not network.pinholes())


@pytest.mark.parametrize("network", [{"conf": f"{MINIUPNPD}min_lifetime=10\n"}], indirect=True)
def test_a_pinhole_outlives_its_leases_and_no_invitation(
    network: Network, host: Host, octocat: Guest
) -> None:
    speaking(host)
    host.configure(f"{CONFIG.partition('[router]')[0]}[router]\nlease = '10s'\n")
    host.invites(octocat)
    ways = {each["kind"]: each for each in pinholed(host)}
    [first] = network.pinholes()
    until("it was had anew", lambda: network.pinholes() not in ([first], []))
    enters(octocat, ways["ipv6"]["command"])
    host.pairctl("end")
    until("it is gone", lambda: not network.pinholes())


def pinholed(host: Host) -> list[Any]:
    """The endpoints, once IPv6 is among them."""
    look = lambda: host.status()["endpoints"]  # noqa: E731
    return until("there is a way in by IPv6", look, lambda ways: "ipv6" in str(ways))
