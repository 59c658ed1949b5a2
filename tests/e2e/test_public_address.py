"""A machine with a public address of its own: a server, or a PC at a modem."""

from __future__ import annotations

from typing import Final

import pytest

from tests.e2e.network import Network, until
from tests.e2e.people import FORGE_CONFIG, Guest, Host, speaks

GATEWAY: Final = "5.5.7.1"
OWN: Final = "5.5.7.10"


def has_a_public_address(network: Network) -> None:
    """The router passes everything on and translates nothing."""
    ruleset = "flush ruleset\n"
    network.router.run("nft", "-f", "-", given=ruleset)
    network.router.run("ip", "addr", "add", f"{GATEWAY}/24", "dev", "lan0")
    links = f"addr flush dev eth0\naddr add {OWN}/24 dev eth0\nroute add default via {GATEWAY}\n"
    network.root.run("ip", "-batch", "-", given=links)


@pytest.mark.parametrize("network", [{"upnp": False}], indirect=True)
def test_the_host_s_own_public_address_is_an_endpoint_on_the_internet(
    network: Network, host: Host, octocat: Guest
) -> None:
    has_a_public_address(network)
    host.configure(FORGE_CONFIG)
    invited = host.invites(octocat)
    best = invited["endpoints"][0]
    assert (best["kind"], best["host"]) == ("direct", OWN)
    assert invited["reachability"] == "internet"
    codes = {one["code"] for one in host.status()["warnings"]}
    assert not codes & {"no-gateway", "unverified"}
    assert "lan" not in {one["kind"] for one in invited["endpoints"]}
    assert network.greets(network.router, OWN, best["port"])  # of our own network, at GATEWAY
    assert host.status()["endpoints"][0]["verified"] is None
    assert network.greets(network.guest, OWN, best["port"])
    assert host.status()["endpoints"][0]["verified"] == "stranger"
    screen = octocat.joins(invited["command"])
    speaks(screen, "guest-is-here", screen)
    until(
        "the guest proves it",
        lambda: host.status()["endpoints"][0]["verified"],
        lambda seen: seen == "guest",
    )
