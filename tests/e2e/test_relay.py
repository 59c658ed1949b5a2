"""A relay of the host's own: a real sshd on another machine, and a router that opens no port."""

from __future__ import annotations

import pytest

from tests.e2e.network import RELAY, Network, Place, until
from tests.e2e.people import CONFIG, Guest, Host, speaks
from tests.e2e.relays import serves_ssh

GUESTS_PORT = 40022

pytestmark = pytest.mark.parametrize("network", [{"upnp": False, "relay": True}], indirect=True)


def runs_a_relay(network: Network, host: Host, *, gateway_ports: str) -> None:
    """The host's user has an account there and logs in by `ssh relay`, without a question."""
    serves_ssh(network, f"GatewayPorts {gateway_ports}")
    host.configure(f'{CONFIG}[relay]\nssh = "relay"\nport = {GUESTS_PORT}\n')


def listeners(relay: Place) -> str:
    return relay.run("ss", "-Htln", f"sport = :{GUESTS_PORT}").stdout


def test_a_guest_enters_by_the_relay_and_end_closes_it(
    network: Network, host: Host, octocat: Guest
) -> None:
    runs_a_relay(network, host, gateway_ports="clientspecified")
    invited = host.invites(octocat)
    best = invited["endpoints"][0]
    assert (best["kind"], best["host"], best["port"]) == ("relay", RELAY, GUESTS_PORT)
    assert (best["verified"], invited["reachability"]) == ("hairpin", "internet")
    hosts_screen = host.attaches()
    guests_screen = octocat.joins(invited["command"])
    speaks(guests_screen, "guest-is-here", guests_screen, hosts_screen)
    assert listeners(network.relay)
    assert listeners(network.relay)
    host.pairctl("end")
    guests_screen.ends()
    until("nobody listens at the relay", lambda: listeners(network.relay), lambda seen: not seen)


def test_a_relay_with_gatewayports_no_is_named(
    network: Network, host: Host, octocat: Guest
) -> None:
    runs_a_relay(network, host, gateway_ports="no")
    invited = host.invites(octocat)
    assert "relay-forward-refused" in {warning["code"] for warning in invited["warnings"]}
    assert invited["reachability"] == "lan"
    until("nobody listens at the relay", lambda: listeners(network.relay), lambda seen: not seen)
