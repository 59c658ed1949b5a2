"""Every way in, in every network: docs/reach.md is made of these.

Real sshd, ssh, tmux and miniupnpd; the guest's ssh runs in the guest's network namespace. Where a
guest gets in, another host key, a key that is not invited and an ended session are refused. Where
not, the guest and the host both reach the relay meanwhile, so nothing else keeps the guest out, and
the host is not told that the internet is open.
"""

from __future__ import annotations

import pytest

from tests.e2e.internet import LAYOUTS, Internet, Layout
from tests.e2e.network import Terminal, until
from tests.e2e.people import FORGE_CONFIG, Guest, Host, Json, speaks
from tests.e2e.ways import WAYS, Way, hole, own_address, stun, usual


def cells() -> list[object]:
    return [
        pytest.param(
            layout,
            joined(ways),
            marks=[
                pytest.mark.way(layout.name, way.name, "yes" if opens(way, layout) else "no")
                for way in ways
            ],
            id=f"{layout.name}: {joined(ways).name}",
        )
        for layout in LAYOUTS
        for ways in told_apart(layout)
    ]


def told_apart(layout: Layout) -> list[list[Way]]:
    """One daemon, which asks the routers in the usual way and the STUN server, shows as closed all
    the ways that differ from that in what they leave out.
    """
    groups: list[list[Way]] = []
    asked: list[Way] = []
    for way in WAYS:
        asks = way.config in {own_address, usual, hole} or (
            way.kinds == {"router"} and not layout.speaks
        )
        if not asks or opens(way, layout):
            groups.append([way])
        else:
            groups += [] if asked else [asked]
            asked.append(way)
    return groups


def joined(ways: list[Way]) -> Way:
    if len(ways) == 1:
        return ways[0]
    kinds = frozenset[str]().union(*(way.kinds for way in ways))
    name = ", ".join(way.name for way in ways)
    return Way(name, "", kinds, usual_and_stun, frozenset())


def usual_and_stun(internet: Internet, guest: Guest) -> str:
    return usual(internet, guest) + stun(internet)


def opens(way: Way, layout: Layout) -> bool:
    return layout.name in way.opens


def test_every_network_that_a_way_opens_exists() -> None:
    assert set().union(*(way.opens for way in WAYS)) <= {layout.name for layout in LAYOUTS}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("layout", "way"), cells())
def test_a_guest_gets_in_or_the_endpoint_is_not_reported_as_reachable(
    layout: Layout, way: Way
) -> None:
    with Internet(layout) as internet:
        host = Host(internet, internet.host)
        guest, stranger = Guest(internet, "octocat"), Guest(internet, "hubot")
        host.configure(FORGE_CONFIG + way.config(internet, guest))
        invited = host.invites(guest, options=way.options(layout))
        if opens(way, layout):
            gets_in(host, guest, stranger, way)
        else:
            stays_out(invited, guest, way)


def gets_in(host: Host, guest: Guest, stranger: Guest, way: Way) -> None:
    command, host_key = printed(host, guest, way)
    screen = guest.joins(command)
    speaks(screen, "guest-is-here", screen)
    if way.kinds == {"ipv6"}:
        assert "no-gateway" not in {problem["code"] for problem in host.asks("status")["warnings"]}
    if way.renews:
        leaves(screen)
        command, _ = printed(host, guest, way, but=command)
    [_, _, blob] = host_key["known_hosts"].split()
    [_, another, _] = stranger.public().split()
    assert_refused(guest, command.replace(blob, another), "Host key verification failed")
    if way.renews:
        command, _ = printed(host, guest, way, but=command)
    assert_refused(stranger, command, "Permission denied (publickey)")
    if way.renews:
        command, _ = printed(host, guest, way, but=command)
    host.pairctl("end")
    screen.ends()
    assert_unreached(guest, command)


def printed(host: Host, guest: Guest, way: Way, but: str = "") -> tuple[str, Json]:
    """The command for the guest, which checks the host key, once it is another one than `but`; and
    the host key.
    """

    def look() -> tuple[str, Json] | None:
        told = host.asks("invite", "--show", guest.name, "--no-copy")
        found = [one["command"] for one in told["endpoints"] if one["kind"] in way.kinds]
        command = pinned(found[0], told["host_key"]) if found else but
        return None if command == but else (command, told["host_key"])

    found = until("the command is there", look)
    assert found
    return found


def leaves(screen: Terminal) -> None:
    screen.press("C-b", "d")
    screen.ends()


def pinned(command: str, host_key: Json) -> str:
    """As printed where it checks the host key by itself; else as `pinned_command` of the best."""
    if "KnownHostsCommand" in command:
        return command
    [_, type_, blob] = host_key["known_hosts"].split()
    known = f"-o 'KnownHostsCommand=/bin/echo %H {type_} {blob}'"
    strict = "-o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null"
    return command.replace("ssh", f"ssh {known} {strict}", 1)


def stays_out(invited: Json, guest: Guest, way: Way) -> None:
    best, *_ = invited["endpoints"]
    if "ipv6" in way.kinds and best["kind"] == "direct":
        assert "no-gateway" not in {problem["code"] for problem in invited["warnings"]}
    assert best["kind"] not in way.kinds or invited["reachability"] != "internet"
    proven = [endpoint for endpoint in invited["endpoints"] if endpoint["kind"] in way.kinds]
    assert [endpoint["verified"] for endpoint in proven] == [None] * len(proven)
    for endpoint in invited["endpoints"]:
        if endpoint["kind"] in way.kinds:
            assert_unreached(guest, endpoint["command"])


def assert_refused(guest: Guest, command: str, words: str) -> None:
    done = guest.runs(command)
    assert done.returncode == 255
    assert words in done.stderr


def assert_unreached(guest: Guest, command: str) -> None:
    """No sshd of ours answers, within two seconds, in which the kernel asks twice."""
    done = guest.runs(command.replace("ssh", "ssh -o ConnectTimeout=2", 1))
    assert done.returncode == 255
    assert "Permission denied" not in done.stderr
