"""A daemon that may not search the local network, and a terminal that may: macOS 15 and later."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

import pytest

from pairingd.core.records import replace
from tests.e2e.network import DESCRIPTION_URL, HOST, LAN, WAN, Network, Place, until
from tests.e2e.people import CONFIG, Guest, Host, speaks

GROUP: Final = (
    64999  # of the refused; by nothing else do they differ from the host's other programs
)

# What Local Network privacy does to them: UDP to the gateway meets EHOSTUNREACH, as there, and to
# the group of SSDP, where Linux cannot answer so, EPERM. TCP to the gateway passes.
REFUSAL: Final = f"""
table ip privacy {{
    chain refuse {{
        type route hook output priority mangle
        meta skgid {GROUP} ip daddr 239.255.255.250 drop
        meta skgid {GROUP} udp dport {{ 1900, 5351 }} meta mark set 1
    }}
}}
table ip6 privacy {{
    chain refuse {{
        type filter hook output priority filter
        meta skgid {GROUP} udp dport {{ 1900, 5351 }} drop
    }}
}}
"""
UNREACHABLE: Final = "rule add fwmark 1 lookup 77\nroute add unreachable default table 77\n"

# The daemon itself, but for what it takes EHOSTUNREACH to mean, and for the connect of a datagram
# socket, which Linux lets pass.
AS_ON_MACOS: Final = f"""
import errno, functools, socket, sys
from pairingd import __main__
from pairingd.world.gateway.upnp import mappings
from pairingd.world.network import towards
mappings.UpnpAdapter = functools.partial(mappings.UpnpAdapter, platform="darwin")
towards.towards = functools.partial(towards.towards, platform="darwin")
connect = socket.socket.connect
def denied(self, address):
    if self.type & 15 == socket.SOCK_DGRAM and address[0] == "{LAN}":
        raise OSError(errno.EHOSTUNREACH, "No route to host")
    return connect(self, address)
socket.socket.connect = denied
sys.exit(__main__.main(["--detach"]))
"""


@pytest.fixture
def router() -> str:
    """Of config.toml."""
    return ""


@pytest.fixture
def refused(network: Network, host: Host, router: str) -> Place:
    """The host's user, as what may not search. The daemon runs there."""
    host.configure(CONFIG.partition("[router]")[0] + f'[router]\nlease = "30s"\n{router}')
    network.root.run("nft", "-f", "-", given=REFUSAL)
    network.root.run("ip", "-batch", "-", given=UNREACHABLE)
    words = (
        f"--regid={GROUP}" if word.startswith("--regid=") else word for word in network.host.prefix
    )
    place = replace(network.host, prefix=tuple(words))
    start(place, host)
    return place


def start(refused: Place, host: Host) -> None:
    refused.run("env", f"PAIRING_HOME={host.home}", "python", "-c", AS_ON_MACOS)


@pytest.mark.waits
def test_the_terminal_finds_the_router_and_the_daemon_has_the_port_opened(
    network: Network, host: Host, octocat: Guest, refused: Place
) -> None:
    done = host.pairctl("invite", octocat.name, "--no-copy", "--json")
    invited = json.loads(done.stdout)
    best = invited["endpoints"][0]
    assert (best["kind"], best["host"], best["port"]) == ("router", WAN, 22)
    assert (best["protocol"], invited["reachability"]) == ("upnp", "internet")
    assert [warning["code"] for warning in invited["warnings"]] == []
    assert done.stderr.splitlines()[-3:] == [
        "router ✗ macOS does not let pairingd reach the local network",
        "search ✓ found a router from here",
        "router ✓ forwards port 22",
    ]
    screen = octocat.joins(invited["command"])
    speaks(screen, "guest-is-here", screen)

    # From here on the daemon gets along alone: the lease is renewed, and a restart forgets nothing.
    lease = host.status()["mapping"]["expires_at"]
    until("a new lease", lambda: host.status()["mapping"]["expires_at"] > lease)
    host.signals_daemon("KILL")
    start(refused, host)
    lease = until("it is held", lambda: host.status()["mapping"]["expires_at"])
    until("a new lease", lambda: host.status()["mapping"]["expires_at"] > lease)
    assert "mapping-closed" not in {event["kind"] for event in host.asks("log")["events"]}
    assert list(network.forwards()) == [22]
    host.pairctl("end")
    until("nothing is forwarded", lambda: not network.forwards())


@pytest.mark.parametrize(
    ("router", "searched"),
    [(f'gateway = "{LAN}"\n', True), (f'description_url = "{DESCRIPTION_URL}"\n', False)],
    ids=["gateway", "description_url"],
)
def test_a_router_named_in_config_toml_is_not_lost(
    host: Host, octocat: Guest, refused: Place, searched: bool
) -> None:
    done = host.pairctl("invite", octocat.name, "--no-copy", "--json")
    invited = json.loads(done.stdout)
    assert (invited["endpoints"][0]["kind"], invited["endpoints"][0]["host"]) == ("router", WAN)
    assert invited["warnings"] == []
    assert ("search ✓" in done.stderr) is searched
    screen = octocat.joins(invited["command"])
    speaks(screen, "guest-is-here", screen)


def test_a_terminal_that_may_not_search_either_changes_nothing(
    host: Host, octocat: Guest, refused: Place
) -> None:
    invite = ("pairctl", "invite", octocat.name, "--no-copy", "--json")
    done = refused.run("env", f"PAIRING_HOME={host.home}", *invite)
    invited = json.loads(done.stdout)
    assert [endpoint["host"] for endpoint in invited["endpoints"]] == [HOST]
    assert [warning["code"] for warning in invited["warnings"]] == ["local-network-denied"]
    assert done.stderr.splitlines()[-1].startswith("search ✗ ")

    doctor = json.loads(host.pairctl("doctor", "--json", check=False).stdout)
    checks = {one["name"]: one for one in doctor["checks"]}
    assert checks["local-network"]["state"] == "warn"
    assert "pairctl invite" in checks["local-network"]["hint"]
    show = ("invite", "--show", octocat.name, "--no-copy")
    until(
        "the router helps",
        partial(host.asks, *show),
        lambda shown: shown["endpoints"][0]["host"] == WAN,
    )
