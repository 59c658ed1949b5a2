"""An invitation and a guest: the desktop's programs, the network's commands, the router."""

from __future__ import annotations

import pytest

from tests.e2e.network import WAN, Network, until
from tests.e2e.people import Guest, speaks
from tests.mac.machine import Mac


def test_a_guest_comes_through_the_router_and_keeps_the_mac_awake(
    mac: Mac, network: Network
) -> None:
    octocat, hubot = Guest(network, "octocat"), Guest(network, "hubot")
    mac.configure()
    mac.pairctl("invite", "octocat", f"file:{mac.keys_of(hubot)}")
    until("the router forwards", network.forwards)
    command = mac.asks("invite", "--show", "octocat")["command"]
    assert WAN in command
    assert mac.read("/private/tmp/pasteboard").startswith("ssh ")
    assert mac.pid(), "pairctl has started the daemon"
    assert mac.asks("status")["mapping"]["gateway"]

    screen = octocat.joins(command)
    speaks(screen, "guest-is-here", screen)
    assert "PreventUserIdleSystemSleep" in mac.assertions()

    mac.pairctl("end")
    screen.ends()
    until("it may sleep", lambda: "PreventUserIdleSystemSleep" not in mac.assertions())
    until("nothing is forwarded", lambda: not network.forwards())
    assert mac.asks("receipt")


def test_a_guest_is_out_where_daemon_and_guardian_are_killed_at_once(
    mac: Mac, network: Network
) -> None:
    octocat = Guest(network, "octocat")
    mac.configure()
    mac.pairctl("invite", "octocat", "--no-copy")
    until("the router forwards", network.forwards)
    screen = octocat.joins(mac.asks("invite", "--show", "octocat", "--no-copy")["command"])
    speaks(screen, "before-the-end", screen)

    daemon = mac.pid()
    (guardian,) = mac.place.run("pgrep", "-P", str(daemon), "-f", "guardian.py").stdout.split()
    mac.place.run("kill", "-STOP", str(daemon))  # or it would start another guardian
    mac.place.run("kill", "-KILL", guardian)
    mac.kill(daemon)
    screen.ends()


@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["write", "read"])
def test_a_guest_of_a_box_is_known_and_goes_in_time(
    mac: Mac, network: Network, options: tuple[str, ...]
) -> None:
    octocat = Guest(network, "octocat")
    mac.configure()
    project = f"{mac.home}/Développement/the project"
    mac.place.run("mkdir", "-p", project)
    invited = mac.pairctl("invite", "octocat", "--box", project, "--no-copy", *options)
    assert "box-untried" in invited.stderr or "not been tried on macOS" in invited.stderr
    until("the router forwards", network.forwards)
    screen = octocat.joins(mac.asks("invite", "--show", "octocat", "--no-copy")["command"])
    screen.shows("this session is in a box")
    until("it is known", lambda: "octocat joined" in mac.pairctl("log").stdout)
    mac.pairctl("revoke", "octocat")
    screen.ends()
