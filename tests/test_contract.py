"""The outward contract for invitations and guests, by real commands against one daemon.

What needs a daemon of its own stands in test_one_machine.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.session import cleared_stage, invited, refusal, shared_stage
from tests.stage import EXTERNAL_HOST, Stage, is_open, until
from tests.waiting import WAIT_S

shared = shared_stage
stage = cleared_stage


def is_utc(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text))


def test_invite_json_has_the_documented_fields(stage: Stage) -> None:
    stage.guest("octocat")
    told = invited(stage, "octocat", "--ttl", "1h30m")
    assert set(told) == {
        *("invitations", "command", "pinned_command", "endpoints", "host_key", "reachability"),
        "warnings",
    }
    (one,) = told["invitations"]
    assert one["guest"] == "github:octocat"
    assert one["access"] == "write"
    assert is_utc(one["issued_at"])
    issued, expires = (datetime.fromisoformat(one[at]) for at in ("issued_at", "expires_at"))
    assert (expires - issued).total_seconds() == 5400
    assert one["keys"] == [
        {
            "type": "ssh-ed25519",
            "bits": 256,
            "fingerprint": one["keys"][0]["fingerprint"],
            "comment": "octocat",
        }
    ]
    router, lan = told["endpoints"]
    assert (router["kind"], router["host"], router["port"]) == (
        "router",
        EXTERNAL_HOST,
        stage.external_port,
    )
    assert router["protocol"] == "upnp"
    assert router["verified"] == "readback"
    assert (lan["kind"], lan["host"]) == ("lan", "127.0.0.1")
    assert told["command"] == router["command"]
    assert re.fullmatch(rf"ssh -p {stage.external_port} \S+@{EXTERNAL_HOST}", told["command"])
    assert told["reachability"] == "internet"
    assert told["host_key"]["known_hosts"].startswith(
        f"[{EXTERNAL_HOST}]:{stage.external_port} ssh-ed25519 AAAA"
    )
    key = told["host_key"]["known_hosts"].split()[-1]
    assert key not in json.dumps({**told, "host_key": {}, "pinned_command": ""})


def test_status_json_has_the_documented_fields(stage: Stage) -> None:
    stage.guest("octocat")
    invited(stage, "octocat")
    told = stage.asks("status")
    assert set(told) == {
        *("daemon", "session", "invitations", "door", "mapping", "endpoints", "warnings"),
    }
    assert set(told["daemon"]) == {"version", "pid", "started_at"}
    assert told["session"] == {
        "name": "pairing",
        "socket": str(stage.home / "tmux.sock"),
        "running": True,
        "clients": 0,
        "confinement": "plain",
        "id": told["session"]["id"],
    }
    assert told["door"]["open"] is True
    assert told["invitations"][0]["state"] == "live"
    assert told["invitations"][0]["connections"] == []
    mapping = told["mapping"]
    assert mapping["protocol"] == "upnp"
    assert (mapping["state"], mapping["error"]) == ("open", None)
    assert mapping["external_port"] == stage.external_port
    assert mapping["internal_port"] == told["door"]["port"]
    assert is_utc(mapping["expires_at"])


def test_quiet_prints_the_command_alone(stage: Stage) -> None:
    stage.guest("octocat")
    told = stage.pairctl("invite", "octocat", "-q", "--no-copy")
    assert re.fullmatch(r"ssh -p \d+ \S+@\S+\n", told.stdout)


def test_the_text_ends_with_the_command_alone(stage: Stage) -> None:
    stage.guest("octocat")
    told = stage.pairctl("invite", "octocat", "--no-copy").stdout
    assert re.fullmatch(r"ssh -p \d+ \S+@\S+", told.splitlines()[-1])
    assert all(len(line) <= 80 for line in told.splitlines())


def test_inviting_again_points_to_extend(stage: Stage) -> None:
    stage.guest("octocat")
    before = invited(stage, "octocat")["invitations"]
    (stage.keys / "octocat.keys").unlink()  # fetched again, it would be no-such-user
    error = refusal(stage, "invite", "@OctoCat", "--ttl", "5h")
    assert error["code"] == "already-invited"
    assert "pairctl extend" in error["hint"]
    assert "pairctl invite --show" in error["hint"]
    assert stage.asks("status")["invitations"][0]["expires_at"] == before[0]["expires_at"]


def test_a_guest_named_several_ways_at_once_is_invited_once(stage: Stage) -> None:
    stage.guest("octocat")
    told = invited(stage, "octocat", "github:octocat", "OctoCat")
    assert [each["guest"] for each in told["invitations"]] == ["github:octocat"]


def test_guests_may_come_from_files_and_literal_keys(stage: Stage) -> None:
    one, two = stage.guest("one"), stage.guest("two")
    public = two.key.with_suffix(".pub").read_text().strip()
    told = invited(stage, f"file:{one.key.name}.pub", f"key:{public}")
    guests = [each["guest"] for each in told["invitations"]]
    assert guests[0] == f"file:{one.key}.pub"
    assert guests[1].startswith("key:SHA256:")
    assert public.split()[1] not in json.dumps(told["invitations"])
    one.joins().shows("$" if os.getuid() else "#")


def test_extend_moves_the_deadline(stage: Stage) -> None:
    stage.guest("octocat")
    before = datetime.fromisoformat(invited(stage, "octocat")["invitations"][0]["expires_at"])
    told = stage.asks("extend", "octocat", "1h")
    after = datetime.fromisoformat(told["invitations"][0]["expires_at"])
    assert (after - before).total_seconds() == 3600
    until = (after + timedelta(hours=2)).isoformat()
    told = stage.asks("extend", "octocat", "--until", until)
    assert datetime.fromisoformat(told["invitations"][0]["expires_at"]) == after + timedelta(
        hours=2
    )
    assert refusal(stage, "extend", "octocat", "30h")["code"] == "ttl-too-long"
    assert refusal(stage, "extend", "hubot", "1h")["code"] == "no-such-guest"


def test_a_changed_role_applies_to_a_connected_guest(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat", "--read-only")
    screen = guest.joins()
    screen.shows("pairing")
    tmux = ("tmux", "-S", str(stage.home / "tmux.sock"), "list-clients", "-F")
    client = "#{client_control_mode}#{client_readonly}"

    def read_only() -> str:
        said = stage.run(*tmux, client).stdout.split()
        return next((flags[1] for flags in said if flags[0] == "0"), "")

    until(lambda: read_only() == "1", "the guest is read-only")
    assert stage.asks("role", "octocat", "write")["invitations"][0]["access"] == "write"
    until(lambda: read_only() == "0", "the guest may write")
    screen.types("echo wr''itten")
    screen.shows("written")
    stage.asks("role", "octocat", "read")
    until(lambda: read_only() == "1", "the guest is read-only again")


@pytest.mark.attack(
    "a guest stays past the deadline, and comes back",
    "cut, the door and the router's port are closed, the key is out",
)
def test_a_guest_is_cut_when_the_time_is_up_and_cannot_come_back(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    door = stage.asks("status")["door"]["port"]
    screen = guest.joins()
    screen.shows("pairing")
    assert stage.asks("status")["invitations"][0]["connections"]
    stage.expires_soon("octocat")
    screen.ended()
    assert "your time is up" in screen.screen()
    until(lambda: stage.mappings() == [], "the router's table is empty")
    assert not is_open(stage.external_port)
    assert not is_open(door)
    until(lambda: (stage.home / "authorized_keys").read_text() == "", "the key is out")
    status = stage.asks("status")
    assert status["session"]["running"] is True
    assert status["invitations"] == []
    assert stage.asks("status", "--all")["invitations"][-1]["state"] == "expired"
    receipt = stage.asks("receipt")
    assert receipt["visits"][0]["guest"] == "github:octocat"
    assert receipt["visits"][0]["until"] is not None


@pytest.mark.attack("a guest holds a bare connection past a revoke", "it is cut")
def test_a_connection_without_a_session_is_cut_too(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    held = subprocess.Popen(
        guest.ssh("-N"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until(lambda: stage.asks("status")["invitations"][0]["connections"], "the guest is in")
    stage.pairctl("revoke", "octocat")
    assert held.wait(WAIT_S) != 0
    held.communicate()


@pytest.mark.attack(
    "a write guest runs a program in place of their tmux client", "their connection ends"
)
def test_a_program_run_beside_the_session_ends_the_connection(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    screen = guest.joins()
    screen.shows("pairing")
    stage.has_seen(1)
    screen.types("tmux detach-client -E 'exec sleep 3600'")
    assert screen.ended() != 0
    [visit] = stage.asks("receipt")["visits"]
    assert visit["why"] == "left"
    assert "not the machine" in visit["about"]


def test_a_guest_may_leave_and_come_back(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    screen = guest.joins()
    stage.has_seen(1)
    screen.presses("C-b", "d")
    assert screen.ended() == 0
    guest.joins().shows("pairing")
    stage.has_seen(2)
    receipt = stage.asks("receipt")
    assert receipt["visits"][0]["why"] == "left"
    (here,) = receipt["invitations"][0]["connections"]
    assert here["peer"] == receipt["visits"][1]["peer"]


def test_the_host_sees_a_message_when_a_guest_joins_and_the_guest_does_not(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    host = stage.terminal(sys.executable, "-m", "pairctl", "attach")
    host.shows("[pairing]")
    screen = guest.joins()
    host.shows("github:octocat joined")
    assert "joined" not in screen.screen()
    host.shows("[pairing]")


def is_written(record: Path, words: str) -> bool:
    return words in record.read_text(errors="replace")


@pytest.mark.attack(
    "a write guest runs pairctl to stay longer, or to invite others",
    "it is shown in the host's tmux when it happens",
)
def test_the_host_sees_in_tmux_each_command_that_gives_rights(stage: Stage) -> None:
    stage.guest("hubot")
    stage.guest("octocat")
    invited(stage, "octocat", "--read-only")
    host = stage.terminal(sys.executable, "-m", "pairctl", "attach")
    host.shows("[pairing]")
    record = host.recorded()
    for command, words in (
        (("extend", "octocat", "10m"), "octocat may stay 10m longer, until "),
        (("invite", "hubot", "--no-copy"), "github:hubot invited read-write for 2h"),
        (("role", "octocat", "write"), "github:octocat is now read-write"),
    ):
        stage.pairctl(*command)
        until(partial(is_written, record, words), words)


@pytest.mark.attack(
    "a guest turns to another session of the host's tmux",
    "they are led back, and nothing of it is drawn",
)
@pytest.mark.parametrize("access", ["--read-only", "--no-copy"], ids=["reading", "writing"])
def test_a_guest_cannot_switch_to_another_session_of_the_host(stage: Stage, access: str) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat", access)
    tmux = ("tmux", "-S", str(stage.home / "tmux.sock"))
    stage.run(*tmux, "new-session", "-d", "-s", "private", "echo for the host''s eyes; sleep 3600")
    host = stage.terminal(sys.executable, "-m", "pairctl", "attach")
    host.shows("[pairing]")
    screen = guest.joins()
    screen.shows("[pairing]")
    record = screen.recorded()
    screen.presses("C-b", ")")
    host.types("echo back''again")
    screen.shows("backagain")
    assert "eyes" not in record.read_text(errors="replace")
    host.presses("C-b", ")")
    host.shows("for the hosts eyes")


@pytest.mark.parametrize("ending", [("end",), ("revoke", "octocat")])
def test_when_the_last_guest_is_out_the_router_s_port_is_closed(
    stage: Stage, ending: tuple[str, ...]
) -> None:
    stage.guest("octocat")
    invited(stage, "octocat")
    assert len(stage.mappings()) == 1
    assert stage.asks(*ending)["warnings"] == []
    assert stage.mappings() == []
