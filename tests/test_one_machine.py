"""The outward contract, by real commands against a real daemon, sshd, ssh and tmux on one machine.

What needs a network of its own stands in tests/e2e.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pairingd.core.admission import MAX_PER_GUEST
from pairingd.core.refusal import PairingError
from tests.session import own_stage
from tests.stage import EXTERNAL_HOST, Guest, Stage, Terminal, free_port, is_open, until
from tests.waiting import WAIT_S

stage = own_stage


@pytest.fixture(scope="module")
def refusing() -> Iterator[Stage]:
    """For tests of which nothing remains, since all that they ask is refused."""
    with Stage() as stage:
        stage.guest("octocat")
        yield stage


@pytest.fixture(scope="module")
def without_daemon() -> Iterator[Stage]:
    """For tests that start none."""
    with Stage() as stage:
        yield stage


def invited(stage: Stage, *argv: str) -> dict[str, Any]:
    answer = stage.asks("invite", *argv, "--no-copy")
    assert "error" not in answer, answer
    return answer


def refusal(stage: Stage, *argv: str, status: int = 1) -> dict[str, Any]:
    """The error of a command; in text it is one line of cause and one of remedy."""
    told = stage.pairctl(*argv, check=False)
    assert told.returncode == status, told
    assert told.stdout == ""
    lines = [line for line in told.stderr.splitlines() if line.startswith(("error:", "hint:"))]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], told.stderr
    again = stage.pairctl(*argv, "--json", check=False)
    assert again.returncode == status
    error: dict[str, Any] = json.loads(again.stdout)["error"]
    assert {"code", "message", "hint"} <= set(error)
    return error


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


def test_a_router_that_is_not_connected_is_the_reason_given(stage: Stage) -> None:
    stage.guest("octocat")
    stage.router_is("0.0.0.0")
    stage.configure()
    told = stage.asks("invite", "octocat", "--no-copy")
    assert [one["code"] for one in told["warnings"]][-1:] == ["no-external-address"]
    assert told["reachability"] == "lan"
    shown = stage.pairctl("status").stdout
    assert f"port {stage.external_port} (no address) to port" in shown
    assert "None" not in shown


def test_every_command_but_invite_says_that_no_daemon_runs(without_daemon: Stage) -> None:
    for argv in (
        *(["status"], ["extend", "a", "1h"], ["revoke", "a"], ["role", "a", "read"], ["end"]),
        *(["log"], ["receipt"], ["config"], ["stop"]),
    ):
        error = refusal(without_daemon, *argv, status=3)
        assert error["code"] == "no-daemon"
        assert "pairctl start" in error["hint"]


@pytest.mark.parametrize(
    "argv",
    [
        ["invite"],
        ["invite", "octocat", "--ttl", "0s"],
        ["invite", "octocat", "--ttl", "-5m"],
        ["invite", "octocat", "--ttl", "soon"],
        ["invite", "octocat", "--port", "0"],
        ["invite", "octocat", "--port", "70000"],
        ["extend", "octocat"],
        ["extend", "octocat", "2 hours"],
        ["role", "octocat", "admin"],
        ["frobnicate"],
    ],
)
def test_mistyped_arguments_are_refused_before_the_daemon_is_started(
    without_daemon: Stage, argv: list[str]
) -> None:
    told = without_daemon.pairctl(*argv, check=False)
    assert told.returncode == 2
    assert told.stdout == ""
    assert not (without_daemon.home / "state.db").exists()


def test_a_ttl_beyond_the_limit_is_refused_with_the_limit(refusing: Stage) -> None:
    error = refusal(refusing, "invite", "octocat", "--ttl", "25h")
    assert error["code"] == "ttl-too-long"
    assert "1d" in error["message"]
    assert refusing.asks("status")["invitations"] == []


@pytest.mark.parametrize(
    ("guest", "code"),
    [
        ("nobody", "no-such-user"),
        ("empty", "no-keys"),
        ("weak", "no-acceptable-keys"),
        ("../etc/passwd", "bad-guest"),
        ("work:mona", "unknown-provider"),
        ("file:/nowhere/keys", "no-such-file"),
        ("key:ssh-ed25519 AAAA", "bad-guest"),
        ("http://example.org/keys", "bad-guest"),
    ],
)
def test_one_bad_guest_refuses_the_whole_invitation(refusing: Stage, guest: str, code: str) -> None:
    (refusing.keys / "empty.keys").write_text("")
    (refusing.keys / "weak.keys").write_text("ssh-dss AAAAB3NzaC1kc3MAAACBAP old\n")
    error = refusal(refusing, "invite", "octocat", guest)
    assert error["code"] == code
    status = refusing.asks("status")
    assert status["invitations"] == []
    assert status["door"]["open"] is False
    assert refusing.mappings() == []


def test_the_reason_why_keys_cannot_be_fetched_is_printed_once(refusing: Stage) -> None:
    message = refusal(refusing, "invite", "nobody")["message"]
    printed = refusing.pairctl("invite", "nobody", check=False).stderr
    assert "keys ✗\n" in printed
    assert printed.count(message) == 1


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


def test_log_follow_and_status_watch_show_changes(stage: Stage) -> None:
    stage.guest("octocat")
    invited(stage, "octocat")
    log = stage.terminal(sys.executable, "-m", "pairctl", "log", "--follow")
    status = stage.terminal(sys.executable, "-m", "pairctl", "status", "--watch")
    log.shows("octocat invited")
    status.shows("read-write until")
    stage.pairctl("role", "octocat", "read")
    log.shows("octocat is now read-only")
    status.shows("read-only until")


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
    assert stage.asks("status", "--all")["invitations"][0]["state"] == "expired"
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


@pytest.mark.attack("one guest opens connections without end", "the ninth is refused")
def test_one_guest_cannot_fill_the_machine_with_connections(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")

    def connections() -> int:
        return len(stage.asks("status")["invitations"][0]["connections"])

    screens: list[Terminal] = []  # a connection without a terminal is cut after JOINING seconds
    while len(screens) < MAX_PER_GUEST:
        screens.append(guest.joins())
        until(lambda: connections() == len(screens), f"{len(screens)} connections")
    assert stage.run(*guest.ssh("-N"), check=False).returncode == 255
    assert connections() == MAX_PER_GUEST
    stage.pairctl("end")
    for screen in screens:
        screen.ended()


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
    for key in ("C-b", ")"):  # at once they could be a paste to tmux: assume-paste-time
        screen.presses(key)
    host.types("echo back''again")
    screen.shows("backagain")
    assert "eyes" not in record.read_text(errors="replace")
    host.presses("C-b", ")")
    host.shows("for the hosts eyes")


def test_when_the_host_ends_the_tmux_session_everything_ends(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    guest.joins().shows("[pairing]")
    stage.has_seen(1)
    stage.run("tmux", "-S", str(stage.home / "tmux.sock"), "kill-server")
    until(lambda: stage.asks("status")["door"]["open"] is False, "the door is closed")
    assert stage.asks("status", "--all")["invitations"][0]["state"] == "ended"
    until(lambda: stage.mappings() == [], "the router's table is empty")
    until(
        lambda: stage.asks("receipt")["visits"][0]["why"] == "tmux-gone",
        "the receipt says why the guest left",
    )


def test_a_start_after_kill_9_ends_expired_invitations_and_keeps_live_ones(stage: Stage) -> None:
    port = free_port()  # a port that the system gives could be another's before the second start
    config = stage.home / "config.toml"
    config.write_text(config.read_text().replace("[door]", f"[door]\nport = {port}"))
    octocat, hubot = stage.guest("octocat"), stage.guest("hubot")
    daemon = stage.daemon()
    invited(stage, "octocat")
    invited(stage, "hubot")
    assert stage.asks("status")["door"]["port"] == port
    screen = octocat.joins()
    stage.has_seen(1)
    deadline = stage.expires_soon("octocat")
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    assert screen.ended() != 0
    assert not is_open(port)
    until(lambda: time.time() > deadline, "the deadline is past")
    stage.daemon()
    until(
        lambda: [one["guest"] for one in stage.asks("status")["invitations"]] == ["github:hubot"],
        "octocat's right is gone",
    )
    until(lambda: stage.asks("status")["mapping"]["state"] == "open", "the mapping stands")
    assert "mapping-closed" not in {event["kind"] for event in stage.asks("log")["events"]}
    status = stage.asks("status")
    assert status["door"]["port"] == port
    assert octocat.runs().returncode == 255
    (visit,) = stage.asks("receipt")["visits"]
    assert (visit["guest"], visit["why"]) == ("github:octocat", "daemon-stopped")
    assert visit["until"] is not None
    hubot.joins().shows("pairing")


@pytest.mark.attack(
    "a guest logs in after the deadline while the daemon is stopped", "sshd itself refuses the key"
)
def test_sshds_own_lock_holds_when_the_daemon_cannot_act(stage: Stage) -> None:
    guest = stage.guest("octocat")
    daemon = stage.daemon()
    invited(stage, "octocat")
    stage.expires_soon("octocat")
    line = (stage.home / "authorized_keys").read_text()
    daemon.send_signal(signal.SIGSTOP)
    try:
        expiry = re.search(r'expiry-time="(\d{14})Z"', line)
        assert expiry
        sshd = ("/usr/sbin/sshd", "-i", "-e", "-f", str(stage.home / "sshd_config"))
        proxy = "-oProxyCommand=" + " ".join(sshd)
        until(
            lambda: (
                "Permission denied (publickey)" in stage.run(*guest.ssh(proxy), check=False).stderr
            ),
            "sshd refuses the key by itself",
        )
    finally:
        daemon.send_signal(signal.SIGCONT)


def holds_although(stage: Stage, guest: Guest) -> None:
    """The deadline of `guest`, who is in, is kept; whatever else cannot be done just now."""
    screen = stage.terminals[-1]
    screen.ended()
    assert guest.runs(port=stage.door).returncode == 255


@pytest.fixture
def almost_over(stage: Stage) -> Guest:
    """A guest who is in, and has a few seconds left."""
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    stage.door = stage.asks("status")["door"]["port"]
    guest.joins().shows("pairing")
    stage.expires_soon("octocat")
    return guest


@pytest.mark.attack("the disk is full at the deadline", "the guest is cut on time")
def test_the_deadline_is_kept_while_nothing_can_be_saved(stage: Stage, almost_over: Guest) -> None:
    database = sqlite3.connect(stage.home / "state.db")
    database.execute("BEGIN IMMEDIATE")
    try:
        holds_although(stage, almost_over)
        status = stage.asks("status")
        assert "state-unwritable" in [warning["code"] for warning in status["warnings"]]
        assert status["door"]["open"] is False
    finally:
        database.rollback()
        database.close()

    def warned() -> set[str]:
        return {warning["code"] for warning in stage.asks("status")["warnings"]}

    until(lambda: "state-unwritable" not in warned(), "what happened is saved")
    assert stage.asks("status", "--all")["invitations"][0]["state"] == "expired"


@contextlib.contextmanager
def tmux_standing_still(stage: Stage) -> Iterator[None]:
    tmux = ("tmux", "-S", str(stage.home / "tmux.sock"), "display-message", "-p", "#{pid}")
    server = int(stage.run(*tmux).stdout)
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)


@pytest.mark.attack("tmux hangs at the deadline", "the guest is cut on time")
def test_the_deadline_is_kept_while_tmux_hangs(stage: Stage, almost_over: Guest) -> None:
    with tmux_standing_still(stage):
        stage.asks("status")  # has the daemon ask tmux, in vain
        holds_although(stage, almost_over)


@pytest.mark.waits
def test_changes_succeed_with_a_warning_while_tmux_hangs(stage: Stage) -> None:
    guest = stage.guest("octocat")
    stage.guest("hubot")
    invited(stage, "hubot")
    before = invited(stage, "octocat")["invitations"][0]["expires_at"]
    guest.joins().shows("pairing")
    with tmux_standing_still(stage):
        told = stage.asks("extend", "octocat", "10m")
        after = told["invitations"][0]["expires_at"]
        assert datetime.fromisoformat(after) - datetime.fromisoformat(before) == timedelta(0, 600)
        assert [one["code"] for one in told["warnings"]] == ["tmux-unknown"]
        assert [one["code"] for one in stage.asks("role", "hubot", "read")["warnings"]]
        # A role that cannot be taken away is taken away with the connection.
        for command in (("role", "octocat", "read"), ("revoke", "octocat")):
            told = stage.asks(*command)
            assert [one["connections"] for one in told["invitations"]] == [[]]
            assert [one["code"] for one in told["warnings"]] == ["tmux-unknown"]


def tmux_through(stage: Stage, script: str) -> Path:
    """The daemon's tmux: a shell script that goes on to the real one."""
    command = stage.path / "tmux"
    command.write_text(f'#!/bin/sh\n{script}\nexec {shutil.which("tmux")} "$@"\n')
    command.chmod(0o755)
    stage.configure(f'[tmux]\ncommand = "{command}"\n')
    return command


def test_invite_is_refused_if_tmux_cannot_be_watched(stage: Stage) -> None:
    started = stage.path / "started"
    tmux_through(stage, f'case "$*" in *" -C attach"*) echo >>{started}; exit 1;; esac')
    stage.guest("octocat")
    assert refusal(stage, "invite", "octocat", "--no-copy")["code"] == "tmux-unwatched"
    assert not stage.asks("status")["door"]["open"]
    assert len(started.read_text()) < 10


@pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")
def test_a_guest_has_no_thread_in_the_daemon(stage: Stage) -> None:
    guest = stage.guest("octocat")
    daemon = stage.daemon()
    invited(stage, "octocat")
    threads = len([*Path(f"/proc/{daemon.pid}/task").iterdir()])
    guest.joins().shows("pairing")
    guest.joins().shows("pairing")
    assert len([*Path(f"/proc/{daemon.pid}/task").iterdir()]) <= threads


def test_a_guest_is_invited_and_joins_if_tmux_takes_3_seconds_to_answer(stage: Stage) -> None:
    tmux_through(stage, 'case "$*" in *list-sessions*) sleep 3;; esac')
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    guest.joins().shows("pairing")


def test_a_tmux_that_cannot_be_asked_is_not_reported_as_a_missing_session(stage: Stage) -> None:
    denied = 'echo "error connecting to it (Permission denied)" >&2; exit 1'
    tmux_through(stage, f"case $PPID in $(cat {stage.path}/pid)) {denied};; esac")
    stage.guest("octocat")
    daemon = stage.daemon()
    (stage.path / "pid").write_text(str(daemon.pid))
    assert refusal(stage, "invite", "octocat", "--no-copy")["code"] == "tmux-unknown"
    assert stage.asks("status")["invitations"] == []


@pytest.mark.attack("tmux cannot be run at the deadline", "the guest is cut on time")
def test_the_deadline_is_kept_while_the_tmux_program_is_missing(stage: Stage) -> None:
    command = tmux_through(stage, "")
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    stage.door = stage.asks("status")["door"]["port"]
    guest.joins().shows("pairing")
    stage.expires_soon("octocat")
    command.unlink()
    holds_although(stage, guest)


@pytest.mark.attack(
    "a stranger's user name forges a login in sshd's log", "nobody is taken for having come in"
)
def test_no_client_can_write_itself_into_sshds_log(stage: Stage) -> None:
    guest, stranger = stage.guest("octocat"), stage.guest("mallory")
    told = invited(stage, "octocat")["invitations"][0]["keys"][0]["fingerprint"]
    forged = f"x\nAccepted publickey for a from b port 1 ssh2: ED25519 {told}\nx"
    for _ in range(2):
        stage.run(
            *stranger.ssh("-l", forged, port=stage.asks("status")["door"]["port"]), check=False
        )
    assert stage.asks("receipt")["visits"] == []
    guest.joins().shows("pairing")


@pytest.mark.parametrize("ending", [("end",), ("revoke", "octocat")])
def test_when_the_last_guest_is_out_the_router_s_port_is_closed(
    stage: Stage, ending: tuple[str, ...]
) -> None:
    stage.guest("octocat")
    invited(stage, "octocat")
    assert len(stage.mappings()) == 1
    assert stage.asks(*ending)["warnings"] == []
    assert stage.mappings() == []


def test_a_router_that_closes_slowly_is_not_waited_for_to_its_end(stage: Stage) -> None:
    stage.guest("octocat")
    pid, goes_on = stage.path / "pid", stage.path / "goes-on"
    slow = stage.path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ >{pid}\nuntil [ -e {goes_on} ]; do sleep 0.1; done\n")
    slow.chmod(0o700)
    stage.configure(f'[router.command]\nopen = "echo home.example.org:2200"\nclose = "{slow}"\n')
    invited(stage, "octocat")
    told = stage.asks("end")
    os.kill(int(pid.read_text()), 0)
    assert [one["code"] for one in told["warnings"]] == ["mapping-unclosed"]
    assert stage.asks("status")["door"]["open"] is False
    goes_on.touch()
    until(lambda: "port 2200 is closed" in stage.pairctl("log").stdout, "the port is closed")


def test_a_port_at_a_router_that_is_no_longer_found_is_reported_at_the_end(stage: Stage) -> None:
    stage.guest("octocat")
    daemon = stage.daemon()
    invited(stage, "octocat")
    daemon.kill()
    daemon.wait(WAIT_S)
    config = stage.home / "config.toml"
    config.write_text(config.read_text().replace("description_url =", 'gateway = "127.0.0.9"\n#'))
    stage.daemon()
    assert len(stage.mappings()) == 1
    warnings = stage.asks("end")["warnings"]
    assert len(stage.mappings()) == 1
    assert [problem["code"] for problem in warnings] == ["mapping-unclosed"]
    assert str(stage.external_port) in warnings[0]["message"]
    assert stage.asks("status")["warnings"][-1:] == warnings


def test_sigterm_closes_everything_but_the_tmux_session(stage: Stage) -> None:
    guest = stage.guest("octocat")
    daemon = stage.daemon()
    invited(stage, "octocat")
    screen = guest.joins()
    screen.shows("pairing")
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=WAIT_S)
    assert daemon.returncode == 0
    screen.ended()
    assert stage.mappings() == []
    assert (stage.home / "authorized_keys").read_text() == ""
    assert not (stage.home / "pairingd.sock").exists()
    stage.run("tmux", "-S", str(stage.home / "tmux.sock"), "has-session", "-t", "=pairing")
    stage.daemon()
    until(stage.mappings, "the invitation's mapping is back")
    guest.joins().shows("pairing")


def test_a_daemon_that_stops_does_not_report_a_failed_router_as_resolved(stage: Stage) -> None:
    stage.guest("octocat")
    config = stage.home / "config.toml"
    config.write_text(config.read_text().replace('["upnp"]', '["natpmp"]'))
    invited(stage, "octocat")
    until(lambda: "trouble" in kinds_of_log(stage), "the router has not answered")
    stage.pairctl("restart")
    assert "resolved" not in kinds_of_log(stage)


def kinds_of_log(stage: Stage) -> list[str]:
    return [event["kind"] for event in stage.asks("log")["events"]]


def test_invite_is_refused_while_the_daemon_ends_and_not_kept_for_the_next_one(
    stage: Stage,
) -> None:
    stage.guest("octocat")
    stage.guest("hubot")
    goes_on = stage.path / "goes-on"
    slow = stage.path / "slow"
    slow.write_text(f"#!/bin/sh\nuntil [ -e {goes_on} ]; do sleep 0.1; done\n")
    slow.chmod(0o700)
    stage.configure(f'[router.command]\nopen = "echo home.example.org:2200"\nclose = "{slow}"\n')
    daemon = stage.daemon()
    invited(stage, "octocat")
    with (
        stage.client() as client
    ):  # before it ends, and the daemon does not wait for the router long
        daemon.send_signal(signal.SIGTERM)
        until(lambda: client.call("status")["door"]["open"] is False, "the door is closed")
        with pytest.raises(PairingError) as refused:
            client.call("invite", {"guests": ["hubot"]})
    assert refused.value.code == "door-shut"
    goes_on.touch()
    daemon.communicate(timeout=WAIT_S)
    stage.daemon()
    guests = [one["guest"] for one in stage.asks("status")["invitations"]]
    assert guests == ["github:octocat"]


@pytest.mark.attack("the state file is damaged", "everything is closed, and the host is told")
def test_an_unreadable_database_closes_everything_with_a_warning(stage: Stage) -> None:
    stage.guest("octocat")
    daemon = stage.daemon()
    invited(stage, "octocat")
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    for path in stage.home.glob("state.db*"):
        path.unlink()
    (stage.home / "state.db").write_bytes(b"garbage " * 512)
    stage.daemon()
    status = stage.asks("status")
    assert status["invitations"] == []
    assert status["door"]["open"] is False
    assert (stage.home / "authorized_keys").read_text() == ""
    assert "state-unreadable" in [warning["code"] for warning in status["warnings"]]
    assert list(stage.home.glob("state.db.unreadable-*"))


def test_config_is_refused_with_file_and_key_and_nothing_is_started(stage: Stage) -> None:
    stage.guest("octocat")
    stage.configure("\n[guests]\nttl = 5\n")
    told = stage.pairctl("invite", "octocat", check=False)
    assert told.returncode == 3
    assert "guests.ttl" in told.stderr
    assert not (stage.home / "pairingd.sock").exists()


def test_with_the_router_disabled_only_the_lan_endpoint_is_left(stage: Stage) -> None:
    stage.guest("octocat")
    text = (stage.home / "config.toml").read_text().replace("[router]", "[router]\nenabled = false")
    (stage.home / "config.toml").write_text(text)
    told = invited(stage, "octocat")
    assert told["reachability"] == "lan"
    assert [one["kind"] for one in told["endpoints"]] == ["lan"]
    assert stage.asks("status")["mapping"] is None
    assert stage.mappings() == []


def test_the_log_lists_the_events_of_a_session(stage: Stage) -> None:
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    guest.joins().shows("pairing")
    stage.has_seen(1)
    stage.pairctl("end")
    until(
        lambda: "left" in [event["kind"] for event in stage.asks("log")["events"]],
        "the guest has left",
    )
    kinds = [event["kind"] for event in stage.asks("log")["events"]]
    for kind in ("invited", "door-opened", "mapping-opened", "joined", "ended", "left"):
        assert kind in kinds
