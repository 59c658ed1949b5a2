"""The outward contract, by real commands against a real daemon, sshd, ssh and tmux on one machine.

Each test has a daemon of its own; those that need none stand in test_contract.py, those that need a
network of their own in tests/e2e.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pairingd.core.admission import MAX_PER_GUEST
from pairingd.core.refusal import PairingError
from tests.session import invited, own_stage, refusal
from tests.stage import Guest, Stage, Terminal, free_port, is_open, until
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


def test_invite_that_the_history_refuses_has_the_cause_alone(stage: Stage) -> None:
    stage.guest("octocat")
    stage.pairctl("start")
    with contextlib.closing(sqlite3.connect(stage.home / "state.db")) as database, database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    error = refusal(stage, "invite", "octocat")
    assert (error["code"], error["message"]) == (
        "state-unwritable",
        "the state cannot be saved: full",
    )


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
    assert "pairctl restart" in error["hint"]
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
        assert "Session   pairing: unknown" in stage.pairctl("status").stdout
        warned = [one["code"] for one in stage.asks("status")["warnings"]]
        assert warned.count("tmux-unknown") == 1
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
    status = stage.asks("status")
    assert status["invitations"] == []
    assert "tmux-unknown" in [warning["code"] for warning in status["warnings"]]
    assert "Session   pairing: unknown\n" in stage.pairctl("status").stdout


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
    assert stage.asks("end")["warnings"] == warnings, "also where nobody is invited any more"


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
    assert "Router    disabled by [router] enabled = false" in stage.pairctl("status").stdout
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
