"""A guest who is dialed: both behind NATs that let nobody in, and the host behind the provider's."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.e2e.carrier import STUN, Carrier
from tests.e2e.network import GUEST, WAN, until
from tests.e2e.people import FORGE_CONFIG, Guest, Host, speaks

CONFIG = f"""{FORGE_CONFIG}
[router]
enabled = false
[cgnat]
stun = "{STUN}"
"""


@pytest.fixture
def network(machine: None, request: pytest.FixtureRequest) -> Iterator[Carrier]:
    with Carrier(**getattr(request, "param", {})) as network:
        yield network


def invites(host: Host, guest: Guest, *options: str) -> Any:
    host.configure(CONFIG)
    return host.invites(guest, options=("--from", GUEST, *options))


def ports(command: str) -> tuple[int, int]:
    """The guest's, and the host's."""
    [(theirs, ours)] = re.findall(r"nc -p (\d+) \S+ (\d+)'", command)
    return int(theirs), int(ours)


def dialed(host: Host) -> Any:
    return next(one for one in host.status()["endpoints"] if one["kind"] == "dial")


def pinned(host: Host, guest: Guest) -> str:
    return str(host.asks("invite", "--show", guest.name, "--no-copy")["pinned_command"])


def test_a_guest_who_is_dialed_gets_in_and_can_come_back(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(host, octocat)
    best = invited["endpoints"][0]
    assert (best["kind"], best["host"], best["guest"]) == ("dial", WAN, "github:octocat")
    assert (best["verified"], invited["reachability"]) == (None, "unverified")
    assert f"ProxyCommand='{best['proxy']}'" in invited["command"]
    hosts_screen = host.attaches()
    guests_screen = octocat.joins(invited["pinned_command"])
    speaks(guests_screen, "guest-is-here", guests_screen, hosts_screen)
    assert dialed(host)["verified"] == "guest"
    guests_screen.shows("then ask for a new ssh")
    guests_screen.press("C-b", "d")
    guests_screen.shows("with a new command from")
    guests_screen.ends()

    def announced() -> list[str]:
        events = host.asks("log")["events"]
        return [one["data"]["command"] for one in events if one["kind"] == "endpoint-changed"]

    [again] = until("another command is announced", announced)
    assert set(ports(again)).isdisjoint(ports(invited["command"]))
    second = octocat.joins(pinned(host, octocat))
    speaks(second, "guest-is-back", second, hosts_screen)
    host.pairctl("end")
    second.ends()


@pytest.mark.skipif(not shutil.which("ncat"), reason="ncat is not installed")
def test_a_dialed_guest_can_use_ncat_instead_of_nc(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(host, octocat)
    command = invited["pinned_command"].replace("'nc -p", "'ncat -p")
    guests_screen = octocat.joins(command)
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.pairctl("revoke", "octocat")
    guests_screen.ends()


@pytest.mark.parametrize("network", [{"resets": True}], indirect=True)
def test_a_dialed_guest_gets_in_even_if_a_router_refuses_the_hosts_syn(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    guests_screen = octocat.joins(invites(host, octocat)["pinned_command"])
    speaks(guests_screen, "guest-is-here", guests_screen)


@pytest.mark.attack(
    "somebody else connects to the port from which a guest is dialed",
    "nobody answers: only the guest's address and port lead there",
)
def test_only_the_dialed_address_and_port_reach_the_socket(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(host, octocat)
    theirs, ours = ports(invited["command"])
    key, options = octocat.key, "-o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no"
    plain = f"exec ssh -i {key} {options} -p {ours} pairhost@{WAN} true"
    assert network.guest.run("sh", "-c", plain, check=False).returncode == 255
    other = ("nc", "-w", "3", "-p", str(theirs), WAN, str(ours))
    assert not network.internet.run(*other, check=False).stdout
    assert octocat.runs(invited["pinned_command"], "true").returncode != 255


def test_a_guest_gets_in_only_because_the_host_dials(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(host, octocat)
    rule = f"insert rule ip nat forward oifname wan0 ip daddr {GUEST} drop"
    network.router.run("nft", *rule.split())
    tried = octocat.joins(invited["pinned_command"], "-o ConnectTimeout=8")
    assert tried.ends() == 255


def test_revoke_expiry_and_end_stop_the_dialing(
    network: Carrier, host: Host, octocat: Guest, hubot: Guest
) -> None:
    host.configure(CONFIG)
    third = Guest(network, "monalisa")
    guests = (octocat, hubot, third)
    invited = [host.invites(one, options=("--from", GUEST)) for one in guests]
    used = [ports(one["command"])[1] for one in invited]
    for port in used:
        until("each is dialed", partial(network.dials, port))
    host.pairctl("revoke", "octocat")
    until("nobody dials octocat", lambda: not network.dials(used[0]))
    host.expires_soon(hubot)
    until("nobody dials hubot", lambda: not network.dials(used[1]))
    assert network.dials(used[2])
    host.pairctl("end")
    until("nobody dials monalisa", lambda: not network.dials(used[2]))


@pytest.mark.waits
def test_a_killed_daemon_dials_no_more_and_a_new_one_dials_by_the_same_ports(
    network: Carrier, host: Host, octocat: Guest
) -> None:
    invited = invites(host, octocat)
    ours = ports(invited["command"])[1]
    host.signals_daemon("KILL")
    assert not network.dials(ours)
    host.pairctl("start")
    until("it is dialed again", lambda: network.dials(ours))
    assert dialed(host)["command"] == invited["command"]
    guests_screen = octocat.joins(pinned(host, octocat))
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.signals_daemon("KILL")
    host.pairctl("start")
    guests_screen.ends()
    assert set(ports(dialed(host)["command"])).isdisjoint(ports(invited["command"]))
