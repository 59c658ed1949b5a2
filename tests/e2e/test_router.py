"""What the router will not do, and whose mappings are whose."""

import time

import pytest

from tests.e2e.network import DESCRIPTION_URL, GUEST, HOST, NEIGHBOUR, Network, until
from tests.e2e.people import CONFIG, Guest, Host, speaks

DOOR = 50111
TAKEN = {"leases": f"TCP:22:{NEIGHBOUR}:22:{int(time.time()) + 3600}:a neighbour's\n"}


@pytest.mark.attack("a neighbour's forward has the port", "it stands, and another port is used")
@pytest.mark.parametrize("network", [TAKEN], indirect=True)
def test_a_neighbour_s_mapping_is_kept_and_another_port_is_used(
    network: Network, host: Host, octocat: Guest
) -> None:
    [theirs] = network.mappings()
    assert f"22->{NEIGHBOUR}:22" in theirs
    invited = host.invites(octocat)
    assert invited["reachability"] == "internet"
    assert invited["endpoints"][0]["port"] != 22
    guests_screen = octocat.joins(invited["command"])
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.pairctl("end")
    until("ours is gone", lambda: len(network.mappings()) == 1)
    assert f"22->{NEIGHBOUR}:22" in network.mappings()[0]


def test_a_mapping_of_another_program_on_this_machine_is_kept(
    network: Network, host: Host, octocat: Guest
) -> None:
    add = ("upnpc", "-u", DESCRIPTION_URL, "-e", "another program", "-a", HOST, "2222", "22", "TCP")
    network.host.run(*add)
    invited = host.invites(octocat)
    assert invited["endpoints"][0]["port"] != 22
    guests_screen = octocat.joins(invited["command"])
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.pairctl("end")
    until("ours is gone", lambda: len(network.mappings()) == 1)
    assert f"22->{HOST}:2222 'another program'" in network.mappings()[0]


@pytest.mark.parametrize("network", [{"upnp": False}], indirect=True)
def test_without_a_router_s_help_the_invitation_is_for_the_lan(
    network: Network, host: Host, octocat: Guest
) -> None:
    host.configure(CONFIG.partition("description_url")[0])
    invited = host.invites(octocat)
    assert invited["reachability"] == "lan"
    assert invited["warnings"]
    [endpoint] = [each for each in invited["endpoints"] if each["kind"] == "lan"]
    assert (endpoint["host"], endpoint["command"]) == (HOST, invited["command"])
    assert network.greets(network.router, HOST, endpoint["port"])


@pytest.mark.parametrize("network", [{"wan": "203.0.113.1"}], indirect=True)
def test_a_router_behind_another_is_named(network: Network, host: Host, octocat: Guest) -> None:
    # miniupnpd maps nothing and names no external address when its own is not public.
    invited = host.invites(octocat)
    assert invited["reachability"] in {"unverified", "lan"}
    assert "double-nat" in {warning["code"] for warning in invited["warnings"]}


@pytest.mark.waits
def test_a_listed_mapping_that_no_longer_forwards_is_re_created(
    network: Network, host: Host, octocat: Guest
) -> None:
    network.turns_around(DOOR)
    host.configure(CONFIG + f'lease = "10s"\n[door]\nport = {DOOR}\n')

    def verified() -> object:
        return host.status()["endpoints"][0]["verified"]

    def kinds() -> list[str]:
        return [event["kind"] for event in host.asks("log")["events"]]

    host.invites(octocat)
    until("our own door is seen outside", verified, lambda seen: seen == "hairpin")
    network.stops_forwarding(DOOR)
    until("that is noticed", kinds, lambda seen: "mapping-lost" in seen)
    until("it is had anew", kinds, lambda seen: seen.count("mapping-opened") == 2)
    assert network.forwards() == {22: f"{HOST}:{DOOR}"}
    assert verified() == "readback"


def test_any_connection_from_the_internet_proves_the_endpoint_of_the_requested_port(
    network: Network, host: Host, octocat: Guest
) -> None:
    invited = host.invites(octocat, options=("--port", "2022"))
    best = invited["endpoints"][0]
    assert best["port"] == 2022
    assert best["verified"] != "stranger"
    # Only connects, as scanners do.
    scan = f"import socket; socket.create_connection({(best['host'], best['port'])})"
    network.guest.run("python3", "-c", scan)
    until(
        "the stranger counts",
        lambda: host.status()["endpoints"][0]["verified"],
        lambda seen: seen == "stranger",
    )
    assert GUEST not in host.pairctl("log").stdout
    octocat.joins(invited["command"])
    until(
        "a guest is better evidence",
        lambda: host.status()["endpoints"][0]["verified"],
        lambda seen: seen == "guest",
    )
