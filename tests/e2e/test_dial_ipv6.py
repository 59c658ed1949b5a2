"""A guest who is dialed over IPv6: no NAT, but a router that lets nobody in."""

from __future__ import annotations

import pytest

from tests.e2e.network import HOST6, Network
from tests.e2e.people import FORGE_CONFIG, Guest, Host, speaks

GUEST6 = "2001:db8:1::2"

pytestmark = pytest.mark.parametrize("network", [{"upnp": False}], indirect=True)


def test_a_guest_who_is_dialed_over_ipv6_gets_in(
    network: Network, host: Host, octocat: Guest
) -> None:
    host.configure(f"{FORGE_CONFIG}[router]\nenabled = false\n")
    invited = host.invites(octocat, options=("--from", GUEST6))
    best = invited["endpoints"][0]
    assert (best["kind"], best["host"]) == ("dial", HOST6)
    assert not network.greets(network.guest, f"[{HOST6}]", host.status()["door"]["port"])
    guests_screen = octocat.joins(invited["pinned_command"])
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.pairctl("revoke", octocat.name)
    guests_screen.ends()
