"""A name server that does not answer: no lookup holds up what closes the guests' ways in."""

from __future__ import annotations

import pytest

from tests.e2e.network import GUEST, Network, until
from tests.e2e.people import CONFIG, Guest, Host

MEMBERS = ", ".join(f'"work:{name}"' for name in "abcdefghijkl")  # more than asyncio has threads
FORGE = f"""
[providers.work]
keys_url = "https://git.example.org/{{name}}.keys"
[groups]
team = [{MEMBERS}]
"""


@pytest.fixture(autouse=True)
def silent_name_server(network: Network) -> None:
    drop = "chain dns { type filter hook forward priority -1; udp dport 53 drop; }"
    network.router.run("nft", "-f", "-", given=f"table ip silent {{\n{drop}\n}}\n")
    options = "options timeout:30 attempts:5\n"
    network.path("/etc/resolv.conf").write_text(f"nameserver {GUEST}\n{options}")


def test_end_closes_the_port_while_many_lookups_hang(
    network: Network, host: Host, octocat: Guest
) -> None:
    host.configure(CONFIG + FORGE)
    port = host.invites(octocat)["endpoints"][0]["port"]
    refused = host.asks("invite", "@team", "--no-copy", check=False)
    assert refused["error"]["code"] == "forge-unreachable"
    assert host.asks("end")["warnings"] == []
    assert host.all_is_closed(port)


def test_the_daemon_stops_while_a_lookup_hangs(
    network: Network, host: Host, octocat: Guest
) -> None:
    host.configure(f'{CONFIG}hostname = "me.example.net"\n')
    port = host.invites(octocat)["endpoints"][0]["port"]
    host.pairctl("stop")
    until("all is closed", lambda: host.all_is_closed(port))
