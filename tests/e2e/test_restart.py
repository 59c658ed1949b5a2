"""The daemon goes and comes back in mid-session, by SIGTERM and by SIGKILL."""

import time

import pytest

from tests.e2e.network import Network, until
from tests.e2e.people import Guest, Host, speaks


@pytest.mark.attack(
    "a guest waits for the daemon to be down at the deadline",
    "what was over stays over after the start",
)
def test_an_invitation_that_expired_while_no_daemon_ran_is_over_after_its_start(
    network: Network, host: Host, octocat: Guest
) -> None:
    for signal in ("TERM", "KILL"):
        invited = host.invites(octocat)
        door = host.status()["door"]["port"]
        guests_screen = octocat.joins(invited["command"])
        speaks(guests_screen, "guest-is-here", guests_screen)
        deadline = host.expires_soon(octocat)
        host.signals_daemon(signal)
        until("the deadline is past", lambda: time.time() > deadline)  # noqa: B023 - called here alone
        host.pairctl("start")
        until("all is closed", lambda: host.all_is_closed(door))  # noqa: B023
        assert host.status()["invitations"] == []


@pytest.mark.attack("the daemon is killed with guests inside", "their connections end with it")
def test_a_killed_daemon_s_guests_are_cut_with_it(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    guests_screen = octocat.joins(command)
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.signals_daemon("KILL")
    guests_screen.ends()
    assert not network.reaches(22)
    host.pairctl("start")
    until("the way in is open", lambda: network.reaches(22))
    again = octocat.joins(command)
    speaks(again, "here-again", again)
