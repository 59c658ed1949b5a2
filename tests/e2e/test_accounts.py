"""The host's account may have any name that a directory service gives, or none at all."""

from __future__ import annotations

import json

import pytest

from tests.e2e.network import Network
from tests.e2e.people import Guest, Host, speaks

PASSWD = "/etc/passwd"


HOME = ":/srv/host:"  # of the host's line in passwd(5)


def replaces_hosts_line(network: Network, *lines: str) -> None:
    passwd = network.path(PASSWD)
    others = [line for line in passwd.read_text().splitlines() if HOME not in line]
    passwd.write_text("\n".join([*others, *lines, ""]))


def account(network: Network, name: str) -> str:
    lines = network.path(PASSWD).read_text().splitlines()
    uid = next(line.split(":")[2] for line in lines if HOME in line)
    return f"{name}:x:{uid}:{uid}:{HOME}/bin/bash"


# Not among them: what no passwd(5) can hold, and quotes and a backslash at the end, which ssh itself
# refuses in a user name since 9.6.
NAMES = (
    *("mark@corp.example", "CORP\\nina", "mark smith", "who?", "!mark", "m*", "ma#rk"),
    *("$HOME", "a  b", "%u", "märk", "*@*"),
)


def test_a_guest_enters_and_is_removed_whatever_the_accounts_name(
    network: Network, host: Host, octocat: Guest
) -> None:
    for name in NAMES:
        replaces_hosts_line(network, account(network, name))
        invited = host.invites(octocat)
        entered = octocat.runs(invited["pinned_command"])
        assert "this invitation opens a shared terminal" in entered.stderr, name
        guests_screen = octocat.joins(invited["command"])
        speaks(guests_screen, "guest-is-here", guests_screen)
        (invitation,) = host.status()["invitations"]
        assert len(invitation["connections"]) == 1, name
        host.pairctl("revoke", octocat.name)
        guests_screen.ends()
        assert f"pairing: {name} removed you" in guests_screen.screen()


@pytest.mark.attack("a guest logs in to another account whose name is like the host's", "refused")
def test_no_other_account_lets_a_guest_in(network: Network, host: Host, octocat: Guest) -> None:
    for name, other in (("m*", "mallory"), ("CORP\\mark", "CORP_mark"), ("!mark", "mark")):
        theirs = f"{other}:x:64999:64999::/srv:/bin/bash"
        replaces_hosts_line(network, account(network, name), theirs)
        command = host.invites(octocat)["command"]
        address = command.split("@")[-1].rstrip("'")
        done = octocat.runs(f"ssh {other}@{address}", "-tt")
        assert done.returncode == 255, name
        (invitation,) = host.status()["invitations"]
        assert invitation["connections"] == [], name
        host.pairctl("end")


def test_without_an_account_invite_and_doctor_report_the_cause(
    network: Network, host: Host, octocat: Guest
) -> None:
    replaces_hosts_line(network)
    asked = host.pairctl("invite", octocat.name, "--no-copy", "--json", check=False)
    error = json.loads(asked.stdout)["error"]
    assert (asked.returncode, error["code"]) == (1, "no-account")
    assert "user id" in error["message"]
    assert host.status()["invitations"] == []
    checks = json.loads(host.pairctl("doctor", "--json", check=False).stdout)["checks"]
    assert next(one for one in checks if one["name"] == "user")["state"] == "fail"
    assert not any("check itself failed" in one["message"] for one in checks)


def test_an_account_that_is_removed_during_a_session_is_a_warning(
    network: Network, host: Host, octocat: Guest
) -> None:
    host.invites(octocat)
    replaces_hosts_line(network)
    told = host.status()
    assert [one["code"] for one in told["warnings"]].count("no-account") == 1
    assert told["endpoints"] == []
    host.pairctl("revoke", octocat.name)
    assert host.status()["door"]["open"] is False
