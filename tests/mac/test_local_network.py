"""Local Network privacy, macOS 15: denied to what launchd starts, granted to Terminal."""

from __future__ import annotations

import json

import pytest

from tests.e2e.network import LAN, WAN, Network, until
from tests.e2e.people import Guest, speaks
from tests.mac.machine import Mac

SEARCHED = "search ✓ found a router from here"


def test_doctor_asks_an_idle_daemon_to_send_a_datagram(mac: Mac) -> None:
    mac.configure()
    assert mac.check("local-network")["message"] == "not tested: pairingd is not running"
    mac.pairctl("install")
    granted = mac.check("local-network")
    assert (granted["state"], granted["message"]) == (
        "ok",
        f"macOS lets pairingd send to the router {LAN}",
    )

    mac.denies_local_network()
    denied = mac.check("local-network")
    assert denied["state"] == "warn"
    assert "(EHOSTUNREACH); this terminal finds the router" in denied["message"]
    assert "pairctl invite" in denied["hint"]
    assert "System Settings > Privacy & Security > Local Network" in denied["hint"]


@pytest.mark.waits
def test_the_terminal_searches_and_doctor_still_names_the_denial(
    mac: Mac, network: Network
) -> None:
    mac.configure()
    octocat = Guest(network, "octocat")
    mac.denies_local_network()
    mac.pairctl("install")
    show = ("invite", "--show", "octocat", "--no-copy")
    done = mac.pairctl("invite", "octocat", "--no-copy")
    if "search ✗" in done.stderr:  # on a busy machine the search may take longer than it is given
        until("it finds the router", lambda: SEARCHED in mac.pairctl(*show).stderr)
    else:
        assert SEARCHED in done.stderr
    invited = json.loads(mac.pairctl(*show, "--json").stdout)
    assert invited["endpoints"][0]["host"] == WAN
    screen = octocat.joins(invited["command"])
    speaks(screen, "guest-is-here", screen)
    assert "EHOSTUNREACH" in mac.check("local-network")["message"]
    mac.pairctl("end")
    until("nothing is forwarded", lambda: not network.forwards())


def test_without_a_router_there_is_nothing_to_test(mac: Mac) -> None:
    mac.configure("[router]\nenabled = false\n")
    mac.pairctl("start")
    found = mac.check("local-network")
    assert (found["state"], found["message"]) == ("ok", "not tested: there is no router to send to")
