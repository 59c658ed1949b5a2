"""A machine of the host's elsewhere looks at the guests' endpoint: real ssh, sshd and router."""

from __future__ import annotations

import pytest

from tests.e2e.network import HOST, WAN, Network, until
from tests.e2e.people import CONFIG, Guest, Host, Json, speaks
from tests.e2e.relays import serves_ssh

LOOK = f'{CONFIG}look_from = "relay"\n'
BY_HAND = """
[door]
port = 40022
[router]
enabled = false
external_host = "{host}"
external_port = 22
look_from = "relay"
"""

pytestmark = pytest.mark.parametrize("network", [{"relay": True}], indirect=True)


def looks_from_the_relay(network: Network, host: Host, *settings: str, config: str = LOOK) -> None:
    serves_ssh(network, *settings)
    host.configure(config)


def best(answer: Json) -> tuple[str, int, str | None]:
    first = answer["endpoints"][0]
    return first["host"], first["port"], first["verified"]


def codes(answer: Json) -> set[str]:
    return {one["code"] for one in answer["warnings"]}


def test_the_endpoint_is_seen_from_outside_before_the_guest_comes(
    network: Network, host: Host, octocat: Guest
) -> None:
    looks_from_the_relay(network, host)
    invited = host.invites(octocat)
    until("seen", lambda: best(host.status()), lambda seen: seen == (WAN, 22, "outside"))
    assert invited["reachability"] == "internet"
    assert not codes(host.status())
    screen = octocat.joins(invited["command"])
    speaks(screen, "guest-is-here", screen)
    until("the guest counts more", lambda: best(host.status()), lambda seen: seen[2] == "guest")


@pytest.mark.waits
def test_reachability_is_unverified_if_the_relay_does_not_see_the_host(
    network: Network, host: Host, octocat: Guest
) -> None:
    looks_from_the_relay(network, host)
    host.invites(octocat)
    until("seen", lambda: best(host.status()), lambda seen: seen[2] == "outside")
    # The router lists the mapping and renews it, and forwards nothing.
    network.stops_forwarding(host.status()["door"]["port"])
    host.signals_daemon("TERM")
    host.pairctl("start")
    until("nobody is seen", lambda: codes(host.status()), lambda seen: "not-seen-outside" in seen)
    assert best(host.status()) == (WAN, 22, None)
    shown = host.asks("invite", "--show", octocat.name, "--no-copy")
    assert shown["reachability"] == "unverified"
    [told] = [one for one in shown["warnings"] if one["code"] == "not-seen-outside"]
    assert f"relay does not see this machine's host key at {WAN} port 22" in told["message"]


@pytest.mark.waits
def test_a_forward_by_hand_is_proven_or_not(network: Network, host: Host, octocat: Guest) -> None:
    config = CONFIG.partition("[router]")[0] + BY_HAND.format(host=WAN)
    looks_from_the_relay(network, host, config=config)
    assert host.invites(octocat)["reachability"] == "unverified"
    until("nobody is seen", lambda: codes(host.status()), lambda seen: "not-seen-outside" in seen)
    rule = f"prerouting iifname wan0 tcp dport 22 dnat ip to {HOST}:40022"
    network.router.run("nft", *f"add rule inet filter {rule}".split())
    network.router.run("nft", *f"insert rule inet filter forward ip daddr {HOST} accept".split())
    until("seen", lambda: best(host.status()), lambda seen: seen[2] == "outside")
    shown = host.asks("invite", "--show", octocat.name, "--no-copy")
    assert shown["reachability"] == "internet"
    assert "not-seen-outside" not in codes(shown)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("AllowTcpForwarding no",), "does not connect to the guests' endpoint for us"),
        (("PermitOpen localhost:1",), "does not connect to the guests' endpoint for us"),
        (("AuthorizedKeysFile none",), "cannot be used to look from"),
    ],
    ids=["no forwarding", "another port only", "no login"],
)
def test_a_machine_that_cannot_look_is_named_and_nothing_is_concluded(
    network: Network, host: Host, octocat: Guest, settings: tuple[str, ...], told: str
) -> None:
    looks_from_the_relay(network, host, *settings)
    host.invites(octocat)
    until("it is named", lambda: codes(host.status()), lambda seen: "look-from-failed" in seen)
    status = host.status()
    [warning] = [one for one in status["warnings"] if one["code"] == "look-from-failed"]
    assert told in warning["message"]
    assert best(status)[2] == "readback"


def test_a_machine_in_the_same_network_proves_nothing(
    network: Network, host: Host, octocat: Guest
) -> None:
    """The router shows those inside our own door at its outer address (hairpin)."""
    port = 40022
    network.turns_around(port)
    serves_ssh(network, address=HOST, place=network.host)
    host.configure(f"{LOOK}[door]\nport = {port}\n")
    host.invites(octocat)
    until("it is named", lambda: codes(host.status()), lambda seen: "look-from-failed" in seen)
    assert best(host.status())[2] in {"readback", "hairpin"}


def test_a_key_restricted_to_port_forwarding_is_enough_to_look(
    network: Network, host: Host, octocat: Guest
) -> None:
    """As docs/config.md has it."""
    looks_from_the_relay(network, host)
    keys = network.path("/srv/relay/.ssh/authorized_keys")
    keys.write_text(f'restrict,port-forwarding,command="/bin/false" {keys.read_text()}')
    host.invites(octocat)
    until("seen", lambda: best(host.status()), lambda seen: seen == (WAN, 22, "outside"))


@pytest.mark.waits
def test_a_relay_looks_too_and_is_printed_first_if_it_does_not_see_the_host(
    network: Network, host: Host, octocat: Guest
) -> None:
    serves_ssh(network, "GatewayPorts clientspecified")
    network.stops_forwarding(40022)
    host.configure(f'{CONFIG}[door]\nport = 40022\n[relay]\nssh = "relay"\nport = 40023\n')
    host.invites(octocat)
    until("nobody is seen", lambda: codes(host.status()), lambda seen: "not-seen-outside" in seen)
    shown = host.asks("invite", "--show", octocat.name, "--no-copy")
    assert [one["kind"] for one in shown["endpoints"]] == ["relay", "router", "lan"]
    screen = octocat.joins(shown["command"])
    speaks(screen, "guest-is-here", screen)
