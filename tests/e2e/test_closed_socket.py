"""A guest closes a directory that tmux needs: the daemon serves on, and the host ends the session."""

from __future__ import annotations

import pytest

from tests.e2e.account_machine import Machine
from tests.e2e.network import Network, until
from tests.e2e.people import Guest, Host

PROJECT = "/srv/host/project"


@pytest.mark.attack(
    "a write guest in a box, or of an account, closes the directory of tmux's socket",
    "every command works on, they are out when revoked, and the hint ends the session",
)
@pytest.mark.parametrize("options", [("--account", "pair"), ("--box", PROJECT)])
def test_the_daemon_serves_on_where_a_guest_has_closed_the_socket_s_directory(
    network: Network,
    machine_with_account: Machine,
    host: Host,
    octocat: Guest,
    hubot: Guest,
    options: tuple[str, ...],
) -> None:
    network.host.run("mkdir", PROJECT)
    screen = octocat.joins(host.invites(octocat, options=options)["command"])
    screen.shows("[pairing]")
    directory = host.status()["session"]["socket"].rpartition("/")[0]
    screen.enter(f"chmod 0 {directory}; echo cl''osed")
    screen.shows("closed")
    (invitation,) = host.status()["invitations"]
    assert len(invitation["connections"]) == 1
    host.asks("extend", "octocat", "1h")
    host.asks("revoke", "octocat")
    screen.ends()
    host.pairctl("restart")
    refused = host.asks("invite", "hubot", "--no-copy", *options, check=False)["error"]
    network.host.run("sh", "-c", refused["hint"].partition("in it: ")[2])
    machine_with_account.sudo("create")  # its directory is open again

    def is_invited() -> bool:
        again = host.asks("invite", "hubot", "--no-copy", *options, check=False)
        return "error" not in again

    until("the session has ended, and another one begins", is_invited)


@pytest.mark.attack(
    "a write guest of an account closes the account's home directory",
    "the host attaches and invites others; for the next session the hint opens it",
)
def test_a_closed_home_directory_keeps_nobody_out(
    machine_with_account: Machine,
    host: Host,
    octocat: Guest,
    hubot: Guest,
) -> None:
    options = ("--account", "pair")
    screen = octocat.joins(host.invites(octocat, options=options)["command"])
    screen.shows("[pairing]")
    screen.enter("chmod 0 ~; echo cl''osed")
    screen.shows("closed")
    other = hubot.joins(host.invites(hubot, options=options)["command"])
    other.shows("[pairing]")
    host.attaches()
    screen.enter("exit")
    for guest in (screen, other):
        guest.ends()
    until("nobody is invited", lambda: host.status()["invitations"] == [])
    refused = host.asks("invite", "hubot", "--no-copy", *options, check=False)["error"]
    assert "account create pair" in refused["hint"]
    machine_with_account.sudo("create")
    again = hubot.joins(host.invites(hubot, options=options)["command"])
    again.shows("[pairing]")
