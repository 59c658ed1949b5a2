"""Invitations bound to more than a deadline: real daemon, sshd, ssh and tmux on one machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pairctl.text.output import WIDTH
from pairingd.core.refusal import PairingError
from tests.session import attached_host, cleared_stage, invited, own_stage
from tests.stage import Guest, Stage, Terminal, is_open, until
from tests.waiting import WAIT_S, looks

HOUR = 3600


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with Stage() as stage:
        stage.configure('[groups]\nteam = ["octocat", "hubot"]\n')
        yield stage


stage = cleared_stage
own_daemon = own_stage


def invitation(stage: Stage, guest: str = "github:octocat") -> dict[str, Any]:
    """The newest of that guest, whether over or not."""
    listed = stage.asks("status", "--all")["invitations"]
    found: dict[str, Any] = [one for one in listed if one["guest"] == guest][-1]
    return found


def states(stage: Stage) -> list[str]:
    """Of all invitations, whether over or not; none while no daemon runs."""
    return [one["state"] for one in stage.asks("status", "--all").get("invitations", ())]


def is_over(stage: Stage, why: str) -> bool:
    return bool(invitation(stage).get("cause") == why)


def kinds(stage: Stage) -> list[str]:
    return [event["kind"] for event in stage.asks("log")["events"]]


def refusal(stage: Stage, *argv: str, status: int) -> dict[str, Any]:
    done = stage.pairctl(*argv, "--json", check=False)
    assert done.returncode == status, done
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    return error


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def opens_soon(stage: Stage, *argv: str) -> dict[str, Any]:
    """Invite for a time that is some commands ahead."""
    began = time.monotonic()
    stage.pairctl("status")
    for ahead in (5.0, 15.0, 45.0):
        opens_at = in_seconds(ahead + 6 * (time.monotonic() - began))
        answer = stage.asks("invite", *argv, "--no-copy", "--at", opens_at)
        if "error" not in answer:
            return answer
        assert answer["error"]["code"] == "time-past", answer
    raise AssertionError(answer)


def joined_with_idle(stage: Stage, guest: Guest) -> tuple[Terminal, int]:
    """The guest's terminal, and how many seconds without a key end it. More of them where a login
    takes long: it must fit into them.
    """
    for seconds in (8, 30, 120):
        stage.pairctl("end", check=False)
        invited(stage, guest.name, "--idle", f"{seconds}s")
        screen = guest.joins()
        until(lambda: stage.asks("receipt")["visits"] or is_over(stage, "idle"), "in, or too late")
        if invitation(stage)["state"] == "live":
            return screen, seconds
    raise AssertionError(screen.screen())


# One visit.


def test_the_first_visit_uses_the_invitation_up(stage: Stage) -> None:
    guest = stage.guest("octocat")
    assert invited(stage, "octocat", "--once")["invitations"][0]["once"] is True
    screen = guest.joins()
    screen.shows("pairing")
    until(lambda: (stage.home / "authorized_keys").read_text() == "", "the key is out")
    assert invitation(stage)["connections"]
    assert guest.runs(port=stage.asks("status")["door"]["port"]).returncode == 255
    assert invitation(stage)["connections"], "the first visit goes on"
    screen.presses("C-b", "d")
    assert screen.ended() == 0
    until(partial(is_over, stage, "used"), "it is used up")
    assert not stage.asks("status")["door"]["open"]
    until(lambda: stage.mappings() == [], "the router's table is empty")
    text = stage.pairctl("receipt").stdout
    assert "ended, the one visit is over" in text


def test_a_login_without_a_terminal_is_no_visit(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat", "--once")
    until(stage.mappings, "the router forwards")
    before = kinds(stage).count("joined")
    assert guest.runs("ls").returncode == 1
    until(lambda: kinds(stage)[-1] == "logged-out", "the login is over")
    assert kinds(stage).count("joined") == before
    assert stage.asks("receipt")["visits"] == []
    guest.joins().shows("one visit only")
    until(lambda: stage.asks("receipt")["visits"], "the visit is there")


@pytest.mark.attack(
    "a guest invited for one visit opens another terminal, by a second connection or the same",
    "it is refused once the visit has begun, and after it",
)
def test_a_once_visit_is_the_only_one_of_all_connections(stage: Stage) -> None:
    guest = stage.guest("octocat")
    stage.pairctl("start")
    before = kinds(stage).count("joined")
    invited(stage, "octocat", "--once")
    until(stage.mappings, "the router forwards")
    masters = [stage.path / "first", stage.path / "second"]
    for socket in masters:
        master = stage.terminal(*guest.ssh("-M", "-S", str(socket), "-N"))
        until(socket.exists, f"the connection: {master}")
    visit = session_over(stage, masters[0])
    visit.shows("pairing")
    until(lambda: kinds(stage).count("joined") > before, "the daemon has seen it")
    for socket in masters:
        again = session_over(stage, socket)
        assert again.ended() != 0
        assert "[pairing]" not in again.screen()
    visit.presses("C-b", "d")
    again = session_over(stage, masters[0])
    assert again.ended() != 0
    assert "[pairing]" not in again.screen()
    until(partial(is_over, stage, "used"), "the invitation is over")
    assert kinds(stage).count("joined") == before + 1


def test_once_the_one_visit_has_begun_the_host_reads_that_no_command_works(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat", "--once")
    guest.joins().shows("one visit only")
    until(lambda: stage.asks("receipt")["visits"], "the visit is there")
    error = refusal(stage, "invite", "--show", "octocat", "--no-copy", status=1)
    assert (error["code"], error["hint"].endswith("pairctl invite github:octocat")) == (
        "used-up",
        True,
    )
    assert guest.runs().returncode == 255
    [knock] = until(lambda: stage.asks("status").get("knocking", []), "the knock is in status")
    assert knock["message"].endswith("whose one visit has begun")
    assert knock["hint"] == error["hint"]


def session_over(stage: Stage, socket: Path) -> Terminal:
    """Another session of that connection: ssh(1), -S."""
    return stage.terminal("ssh", "-F", "none", "-S", str(socket), "-tt", "host.invalid")


def test_after_kill_9_a_once_visit_that_had_begun_cannot_begin_again(own_daemon: Stage) -> None:
    stage = own_daemon
    guest = stage.guest("octocat")
    daemon = stage.daemon()
    invited(stage, "octocat", "--once")
    screen = guest.joins()
    screen.shows("pairing")
    until(lambda: "joined" in kinds(stage), "the daemon has seen it")
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    screen.ended()
    stage.daemon()
    assert is_over(stage, "used")
    assert stage.asks("status")["door"]["open"] is False


# A time to join.


def test_the_door_closes_if_the_guest_does_not_join_in_time(stage: Stage) -> None:
    stage.guest("octocat")
    told = invited(stage, "octocat", "--join-within", "3s")["invitations"][0]
    assert told["join_by"] < told["expires_at"]
    until(partial(is_over, stage, "expired"), "nobody has come")
    until(lambda: not stage.asks("status")["door"]["open"], "the door is closed")
    assert "did not come in time" in stage.pairctl("log").stdout


def test_a_guest_who_has_joined_stays_beyond_the_time_to_join(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat", "--join-within", "1m")
    screen = guest.joins()
    screen.shows("pairing")
    until(lambda: "joined" in kinds(stage), "the daemon has seen it")
    keys = stage.home / "authorized_keys"
    deadline = datetime.fromisoformat(invitation(stage)["expires_at"])
    stamp = deadline.astimezone(UTC).strftime("%Y%m%d%H%M")
    until(lambda: f'expiry-time="{stamp}' in keys.read_text(), "the key has its deadline")
    screen.presses("C-b", "d")
    screen.ended()
    until(lambda: "left" in kinds(stage), "the daemon has seen it")
    assert "to join by" not in stage.pairctl("status").stdout


def test_a_login_without_a_terminal_does_not_meet_the_time_to_join(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat", "--join-within", "30m")
    guest.joins("-N")
    until(lambda: invitation(stage)["connections"], "they are connected")
    assert "to join by" in stage.pairctl("status").stdout


# Signs of life.


def test_an_invitation_ends_after_the_idle_time_without_a_connection(stage: Stage) -> None:
    stage.guest("octocat")
    invited(stage, "octocat", "--idle", "3s")
    until(partial(is_over, stage, "idle"), "it was idle")
    until(lambda: not stage.asks("status")["door"]["open"], "the door is closed")


@pytest.mark.waits
def test_a_guest_is_cut_after_the_idle_time_and_stays_while_the_host_types(stage: Stage) -> None:
    guest = stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy")  # so that there is a session to attach to
    host = attached_host(stage)
    host.shows("[pairing]")
    screen, seconds = joined_with_idle(stage, guest)
    for _ in looks(1.5 * seconds):
        host.presses("x")
    assert invitation(stage)["state"] == "live", "the host typed"
    screen.ended()
    assert is_over(stage, "idle")
    until(lambda: stage.asks("receipt")["visits"][0]["why"] == "idle", "the receipt says why")


@pytest.mark.waits
def test_a_guest_is_cut_after_the_idle_time_if_tmux_does_not_answer(stage: Stage) -> None:
    """What stands still is the server; a guest is cut without it."""
    guest = stage.guest("octocat")
    joined_with_idle(stage, guest)
    server = int(stage.tmux("display-message", "-p", "#{pid}"))
    os.kill(server, signal.SIGSTOP)
    try:
        until(partial(is_over, stage, "idle"), "it was idle")
        until(lambda: not invitation(stage)["connections"], "the guest is cut")
    finally:
        os.kill(server, signal.SIGCONT)


# Later.


def test_a_scheduled_invitation_is_closed_until_its_time_and_then_announced(stage: Stage) -> None:
    guest = stage.guest("octocat")
    stage.guest("hubot")
    invited(stage, "hubot")
    record = attached_host(stage).recorded()
    stage.asks("revoke", "hubot")
    told = opens_soon(stage, "octocat")
    [one] = told["invitations"]
    if one["state"] == "scheduled":
        assert (told["command"], told["endpoints"]) == ("", [])
    seen = stage.asks("status")
    if seen["invitations"][0]["state"] == "scheduled":
        assert seen["door"] == {"open": False, "port": None}
        keys = stage.home / "authorized_keys"  # there once anybody was in
        assert not keys.exists() or keys.read_text() == ""
    until(lambda: stage.asks("status")["door"]["open"], "the door opens by itself")
    until(lambda: "may enter now: ssh" in record.read_text(errors="replace"), "the host is told")
    shown = stage.asks("invite", "--show", "octocat", "--no-copy")
    assert shown["command"] in stage.pairctl("log").stdout
    guest.joins().shows("pairing")
    assert kinds(stage).count("opened") == 1


def test_a_scheduled_invitation_says_so_and_hands_out_no_command(stage: Stage) -> None:
    stage.guest("octocat")
    done = stage.pairctl("invite", "octocat", "--at", in_seconds(HOUR), "--once", "--idle", "20m")
    assert "No entry before" in done.stdout
    assert "ssh " not in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > WIDTH] == []
    seen = stage.asks("status")
    assert seen["invitations"][0]["state"] == "scheduled"
    assert seen["door"]["open"] is False
    assert stage.mappings() == []
    text = stage.pairctl("status").stdout
    assert "one visit, over when idle for 20m" in text
    assert "not needed yet" in text
    assert "No entry before" in stage.pairctl("invite", "--show", "octocat").stdout
    quiet = stage.pairctl("invite", "-q", "--show", "octocat")
    assert (quiet.stdout, "No entry" in quiet.stderr) == ("", True)
    error = refusal(stage, "invite", "--show", "--message", "octocat", status=1)
    assert error["code"] == "not-open-yet"


def test_a_scheduled_invitation_has_no_command_while_another_guest_is_live(stage: Stage) -> None:
    for name in ("hubot", "octocat"):
        stage.guest(name)
    invited(stage, "hubot")
    later = ("octocat", "--at", in_seconds(HOUR))
    for reply in (invited(stage, *later), stage.asks("invite", "--show", "octocat")):
        assert (reply["command"], reply["pinned_command"], reply["endpoints"]) == ("", "", [])
        assert reply["host_key"]["known_hosts"] == ""
        assert reply["reachability"] == "unverified"
    for option in ("--message", "--pinned", "--ssh-config"):
        error = refusal(stage, "invite", "--show", option, "octocat", status=1)
        assert error["code"] == "not-open-yet"
    quiet = stage.pairctl("invite", "-q", "--show", "octocat")
    assert (quiet.stdout, "No entry" in quiet.stderr) == ("", True)
    assert stage.asks("invite", "--show", "hubot", "--no-copy")["command"]


def test_extend_ends_no_scheduled_invitation_before_it_opens(stage: Stage) -> None:
    stage.guest("octocat")
    invited(stage, "octocat", "--at", in_seconds(HOUR))
    error = refusal(stage, "extend", "octocat", "--until", in_seconds(HOUR / 2), status=1)
    assert error["code"] == "deadline-past"
    assert "before it opens" in error["message"]


def test_a_scheduled_invitation_opens_after_kill_9_too(own_daemon: Stage) -> None:
    stage = own_daemon
    guest = stage.guest("octocat")
    daemon = stage.daemon()
    opens_at = opens_soon(stage, "octocat")["invitations"][0]["opens_at"]
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    stage.daemon()
    ahead = datetime.fromisoformat(opens_at).timestamp() - time.time()
    until(
        lambda: stage.asks("status")["door"]["open"],
        "the door opens by itself",
        WAIT_S + max(ahead, 0),
    )
    until(lambda: "opened" in kinds(stage), "it is announced")
    guest.joins().shows("pairing")


# Nobody came.


def test_an_invitation_that_nobody_used_in_time_is_shown_as_that(stage: Stage) -> None:
    stage.guest("octocat")
    stage.asks("invite", "octocat", "--no-copy", "--join-within", "1s")  # over before, if slow
    until(partial(is_over, stage, "expired"), "it is over")
    for command in (("status", "--all"), ("receipt",)):
        assert ": expired, did not come in time" in stage.pairctl(*command).stdout


@pytest.mark.parametrize("how", ["revoke", "join-within"])
def test_an_invitation_that_is_over_before_its_command_is_printed_is_an_error(
    own_daemon: Stage, how: str
) -> None:
    stage = own_daemon
    stage.guest("octocat")
    goes_on = stage.path / "goes-on"
    slow = stage.path / "slow"
    slow.write_text(f"#!/bin/sh\nuntil [ -e {goes_on} ]; do sleep 0.1; done\n")
    slow.chmod(0o700)
    stage.configure(f'[router.command]\nopen = "{slow}"\nclose = "true"\n')
    more = ("--join-within", "1s") if how == "join-within" else ()
    argv = (sys.executable, "-m", "pairctl", "invite", "octocat", "--no-copy", "--json", *more)
    with subprocess.Popen(argv, env=stage.environment, stdout=subprocess.PIPE) as inviting:
        if how == "revoke":
            until(lambda: stage.asks("status").get("door", {}).get("open"), "the door is open")
            stage.asks("revoke", "octocat")
        state = {"revoke": "revoked", "join-within": "expired"}[how]
        until(lambda: states(stage) == [state], "it is over")
        goes_on.touch()
        printed, _ = inviting.communicate(timeout=WAIT_S)
    assert inviting.returncode == 1
    error = json.loads(printed)["error"]
    assert error["code"] == "invitation-over"
    assert error["message"].endswith(f": {state}")


# Groups.


def test_a_group_is_invited_by_its_name(stage: Stage) -> None:
    stage.guest("octocat")
    stage.guest("hubot")
    told = invited(stage, "@team")
    assert [one["guest"] for one in told["invitations"]] == ["github:octocat", "github:hubot"]
    assert refusal(stage, "invite", "@crew", status=1)["code"] == "no-such-group"


# What makes no sense.


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("octocat", "--join-within", "3h", "--ttl", "2h"), 1, "join-within-too-long"),
        (("octocat", "--at", "2001-01-01T00:00:00Z"), 1, "time-past"),
        (("octocat", "--at", "2h"), 2, "bad-time"),
        (("octocat", "--at", "14:00", "--message"), 2, "usage"),
        (("octocat", "--at", "14:00", "--pinned"), 2, "usage"),
        (("octocat", "--idle", "14:00"), 2, "bad-duration"),
        (("octocat", "--show", "--once"), 2, "usage"),
        (("octocat", "--show", "--idle", "5m"), 2, "usage"),
        (("octocat", "--show", "--join-within", "5m"), 2, "usage"),
        (("octocat", "--show", "--attach"), 2, "usage"),
        (("octocat", "--show", "--box"), 2, "usage"),
        (("octocat", "--show", "--box=/srv"), 2, "usage"),
        (("octocat", "--show", "--account", ""), 2, "usage"),
        (("octocat", "--attach"), 2, "usage"),
        (("octocat", "--wait"), 2, "wait-without-ask"),
        (("octocat", "--wait", "--once"), 2, "wait-without-ask"),
    ],
)
def test_invalid_options_of_invite_are_refused_and_nobody_is_invited(
    stage: Stage, words: tuple[str, ...], status: int, code: str
) -> None:
    stage.guest("octocat")
    stage.pairctl("start")
    assert refusal(stage, "invite", *words, status=status)["code"] == code
    assert stage.asks("status")["invitations"] == []


def test_an_opening_too_far_ahead_is_refused_because_of_at(stage: Stage) -> None:
    stage.guest("octocat")
    stage.pairctl("start")
    words = ("octocat", "--at", "2199-01-01T00:00:00Z", "--ttl", "1m")
    error = refusal(stage, "invite", *words, status=1)
    assert error["code"] == "ttl-too-long"
    assert error["message"] == "2199-01-01T00:00:00Z is more than 1d from now"
    assert error["hint"].startswith("name an earlier time for --at")


def test_wait_needs_no_ask_where_the_configuration_has_it(own_daemon: Stage) -> None:
    own_daemon.guest("octocat")
    own_daemon.configure("[guests]\nask = true\n")
    assert invited(own_daemon, "octocat", "--wait")["invitations"][0]["ask"] is True


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"wait": True}, "wait-without-ask"),
        ({"at": "2001-01-01T00:00:00Z"}, "time-past"),
        ({"at": "2199-01-01T00:00:00Z"}, "ttl-too-long"),
    ],
)
def test_the_daemon_refuses_what_makes_no_sense_before_it_fetches_keys(
    stage: Stage, params: dict[str, Any], code: str
) -> None:
    stage.pairctl("start")
    with stage.client() as client, pytest.raises(PairingError) as refused:
        client.call("invite", {"guests": ["who-has-no-keys"], **params})
    assert refused.value.code == code


def test_a_time_that_has_passed_is_refused_before_a_daemon_is_started(own_daemon: Stage) -> None:
    words = ("invite", "octocat", "--at", "2001-01-01T00:00:00Z")
    assert refusal(own_daemon, *words, status=1)["code"] == "time-past"
    assert own_daemon.pairctl("status", check=False).returncode == 3


# Invite, and be in the session.


def host_invites(stage: Stage, *words: str) -> Any:
    return stage.terminal(sys.executable, "-m", "pairctl", "invite", "octocat", *words)


def test_invite_attach_starts_the_daemon_and_enters_the_session(own_daemon: Stage) -> None:
    stage = own_daemon
    guest = stage.guest("octocat")
    host = host_invites(stage, "-a", "--no-copy")
    host.shows("[pairing]")
    host.types("echo so''lo")
    host.shows("solo")
    guest.joins().shows("solo")
    host.presses("C-b", "d")
    assert host.ended() == 0
    host.shows("ssh -p")
    assert invitation(stage)["state"] == "live"
    assert is_open(stage.external_port)


def test_invite_attaches_by_configuration_unless_no_attach_is_given(own_daemon: Stage) -> None:
    stage = own_daemon
    stage.configure("[host]\nattach = true\n")
    stage.guest("octocat")
    host = host_invites(stage, "--no-attach", "--no-copy")
    assert host.ended() == 0
    stage.pairctl("end")
    assert "ssh" in stage.pairctl("invite", "octocat", "--no-copy").stdout  # to no terminal
    stage.pairctl("end")
    host_invites(stage, "--no-copy").shows("[pairing]")


def test_invite_attach_without_a_terminal_is_refused(own_daemon: Stage) -> None:
    stage = own_daemon
    stage.guest("octocat")
    done = stage.pairctl("invite", "octocat", "--attach", check=False)
    assert done.returncode == 1
    assert "not a terminal" in done.stderr
    assert not (stage.home / "pairingd.sock").exists()
