"""A name for the host's network, which stays true when the router's address changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.network import WAN, Network, until
from tests.e2e.people import CONFIG, Guest, Host, speaks

NAME = "me.example.net"
OTHER_WAN = "5.5.5.7"
OLD = "5.5.5.9"  # of nobody
SCRIPT = "/srv/host/update"


def leads_to(network: Network, address: str) -> None:
    """For everybody on the test network, whose DNS is /etc/hosts; the host's user may write it."""
    network.path("/etc/hosts").write_text(f"127.0.0.1 localhost\n{address} {NAME}\n")
    network.root.run("chmod", "666", "/etc/hosts")


def has_a_name(network: Network, host: Host, *, update: bool = True) -> None:
    leads_to(network, OLD)
    script = '#!/bin/sh\necho "$2 $1" >/etc/hosts\n'
    network.path(SCRIPT).write_text(script)
    network.root.run("chmod", "755", SCRIPT)
    line = f'update = "{SCRIPT} {{hostname}} {{address}}"\n' if update else ""
    host.configure(f'{CONFIG}lease = "20s"\nhostname = "{NAME}"\n{line}')


def best(host: Host) -> list[str]:
    return [one["host"] for one in host.status()["endpoints"] if one["kind"] == "router"]


def kinds(host: Host) -> list[Any]:
    return [one["kind"] for one in host.asks("log")["events"]]


def test_the_command_has_the_name_and_survives_another_address(
    network: Network, host: Host, octocat: Guest
) -> None:
    has_a_name(network, host)
    invited = host.invites(octocat)
    assert [one["host"] for one in invited["endpoints"][:2]] == [NAME, WAN]
    assert invited["command"].endswith(f"@{NAME}")
    assert not invited["warnings"]
    command = invited["pinned_command"]
    guests_screen = octocat.joins(command)
    speaks(guests_screen, "guest-is-here", guests_screen)
    network.router.run("ip", "addr", "del", f"{WAN}/24", "dev", "wan0")
    network.router.run("ip", "addr", "add", f"{OTHER_WAN}/24", "dev", "wan0")
    until("the name leads to the other address", lambda: best(host) == [NAME, OTHER_WAN])
    again = octocat.joins(command)
    speaks(again, "guest-is-back", again)
    assert "endpoint-changed" not in kinds(host)


@pytest.mark.waits
def test_a_name_that_leads_elsewhere_is_not_printed(
    network: Network, host: Host, octocat: Guest
) -> None:
    has_a_name(network, host, update=False)
    invited = host.invites(octocat)
    assert [one["host"] for one in invited["endpoints"]][:1] == [WAN]
    [warning] = [one for one in invited["warnings"] if one["code"] == "hostname-stale"]
    assert OLD in warning["message"]
    by_name = invited["command"].replace(WAN, NAME)
    assert octocat.joins(by_name, "-o ConnectTimeout=5").ends() == 255
    leads_to(network, WAN)
    until("the name is seen to lead here", lambda: best(host) == [NAME, WAN])
