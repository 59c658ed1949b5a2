"""The main job over a real router: invite, join, share, and be out when the time is up."""

import shlex
import time

import pytest

from tests.e2e.network import HOST, WAN, Network, until
from tests.e2e.people import CONFIG, Guest, Host, speaks


def test_an_invitation_from_its_first_second_to_its_last(
    network: Network, host: Host, octocat: Guest
) -> None:
    # Nothing but the forge is configured: the router is found, not named.
    host.configure(CONFIG.partition("[router]")[0])
    invited = host.invites(octocat)
    assert invited["reachability"] == "internet"
    assert invited["endpoints"][0]["protocol"] == "pcp"
    assert shlex.split(invited["command"])[-1] == f"pairhost@{WAN}"
    door = host.status()["door"]["port"]
    assert [line.split()[:2] for line in network.mappings()] == [["TCP", f"22->{HOST}:{door}"]]

    hosts_screen, guests_screen = host.attaches(), octocat.joins(invited["command"])
    speaks(guests_screen, "said-by-the-guest", guests_screen, hosts_screen)
    speaks(hosts_screen, "said-by-the-host", guests_screen, hosts_screen)

    expires_at = host.expires_soon(octocat)
    guests_screen.ends()
    assert time.time() >= expires_at
    until("all is closed", lambda: host.all_is_closed(door))
    assert octocat.runs(invited["command"]).returncode == 255
    status = host.status()
    assert status["invitations"] == []
    assert status["door"] == {"open": False, "port": None}
    assert status["mapping"] is None
    speaks(hosts_screen, "the-session-lives", hosts_screen)


@pytest.mark.attack("a revoked guest stays, and comes back", "out at once, and the key is refused")
def test_a_revoked_guest_is_out_at_once(network: Network, host: Host, octocat: Guest) -> None:
    invited = host.invites(octocat)
    door = host.status()["door"]["port"]
    guests_screen = octocat.joins(invited["command"])
    speaks(guests_screen, "guest-is-here", guests_screen)
    assert guests_screen.is_full_screen()
    assert host.asks("revoke", octocat.name)["invitations"][0]["state"] == "revoked"
    guests_screen.ends()
    assert not guests_screen.is_full_screen()
    until("all is closed", lambda: host.all_is_closed(door))


def test_the_end_puts_all_guests_out_and_leaves_the_session(
    network: Network, host: Host, octocat: Guest, hubot: Guest
) -> None:
    command = host.invites(octocat, hubot)["command"]
    door = host.status()["door"]["port"]
    hosts_screen = host.attaches()
    screens = [octocat.joins(command), hubot.joins(command)]
    for screen in screens:
        speaks(screen, "guest-is-here", screen, hosts_screen)
        hosts_screen.enter("clear")
    host.pairctl("end")
    for screen in screens:
        screen.ends()
    until("all is closed", lambda: host.all_is_closed(door))
    speaks(hosts_screen, "the-session-lives", hosts_screen)


def test_an_extended_guest_stays_past_the_first_deadline_and_another_s(
    network: Network, host: Host, octocat: Guest, hubot: Guest
) -> None:
    command = host.invites(octocat)["command"]
    assert host.invites(hubot)["command"] == command
    staying, leaving = octocat.joins(command), hubot.joins(command)
    speaks(staying, "both-are-here", staying, leaving)
    deadline = host.expires_soon(octocat)
    host.pairctl("extend", octocat.name, "1h")
    host.expires_soon(hubot)
    leaving.ends()
    assert "Permission denied (publickey)" in hubot.runs(command).stderr
    until("the first deadline is past", lambda: time.time() > deadline + 1)
    speaks(staying, "still-here", staying)
    again = octocat.joins(command)
    speaks(again, "here-again", again)


def test_root_may_host_and_is_warned(network: Network) -> None:
    host = Host(network, network.root)
    guest = Guest(network, "octocat")
    invited = host.invites(guest)
    assert "running-as-root" in {warning["code"] for warning in invited["warnings"]}
    guests_screen = guest.joins(invited["command"])
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.pairctl("end")
    guests_screen.ends()
