"""A daemon that gives way to another, of the same or of another version."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.session import notes_of_the_desktop, own_stage, programs_first
from tests.stage import PAIRCTL, Stage, until
from tests.waiting import WAIT_S

stage = own_stage


def test_a_restart_in_mid_session_keeps_rights_session_and_mapping(stage: Stage) -> None:
    guest = stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    screen = guest.joins()
    screen.types("echo wr''itten before")
    screen.shows("written before")
    before = stage.asks("status")
    server = ("tmux", "-S", str(stage.home / "tmux.sock"), "display-message", "-p", "#{pid}")
    tmux = stage.run(*server).stdout

    assert stage.asks("restart")["pid"] != before["daemon"]["pid"]
    screen.ended()
    until(lambda: stage.asks("status")["mapping"]["state"] == "open", "the mapping is back")
    after = stage.asks("status")
    assert stage.run(*server).stdout == tmux
    for one in (before, after):
        one["invitations"][0].pop("connections")
        one["mapping"].pop("expires_at")
    assert after["invitations"] == before["invitations"]
    assert after["mapping"] == before["mapping"]
    assert after["door"] == before["door"]
    again = guest.joins()
    again.shows("written before")
    again.types("echo wr''itten after")
    again.shows("written after")


def test_another_session_name_in_the_configuration_ends_no_invitation(stage: Stage) -> None:
    guest = stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.configure('[tmux]\nsession = "another"\n')
    stage.asks("restart")
    status = stage.asks("status")
    assert status["session"]["name"] == "pairing"
    assert [one["state"] for one in status["invitations"]] == ["live"]
    screen = guest.joins()
    screen.types("exit")  # the last shell: the next session has the new name
    until(lambda: stage.asks("status")["session"]["name"] == "another", "the session's end")
    until(lambda: not stage.asks("status")["invitations"], "the invitation's end")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    assert stage.tmux("list-sessions", "-F", "#{session_name}") == "another"


def test_an_upgrade_from_before_the_marks_keeps_live_invitations(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.pairctl("stop")
    with closing(sqlite3.connect(stage.home / "state.db")) as older, older:
        whole = "SELECT json_group_array(json(body)) FROM invitation WHERE session = id"
        older.execute(f"UPDATE session SET body = json_set(body, '$.invitations', json(({whole})))")
        older.execute("DROP TABLE invitation")
        older.execute("ALTER TABLE session DROP COLUMN invitations")
        for table in ("session", "mapping", "process", "event"):
            older.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        older.execute("DROP TABLE router")
        older.execute("PRAGMA user_version = 1")
    shutil.rmtree(stage.home / "live")
    for _ in range(2):
        stage.pairctl("restart")
        status = stage.asks("status")
        assert [one["guest"] for one in status["invitations"]] == ["github:octocat"]
        codes = {warning["code"] for warning in status["warnings"]}
        assert not codes & {"state-outdated", "state-unreadable", "clock-behind"}
    stage.pairctl("stop")
    shutil.rmtree(stage.home / "live")
    stage.pairctl("start")
    assert stage.asks("status")["invitations"] == []


def test_an_older_program_says_so_and_leaves_newer_state_alone(stage: Stage) -> None:
    stage.pairctl("start")
    stage.pairctl("stop")
    database = stage.home / "state.db"
    with closing(sqlite3.connect(database)) as newer:
        newer.execute("PRAGMA user_version = 99")
    content = database.read_bytes()
    for command in (["start"], ["restart"], ["invite", "octocat"]):
        told = stage.pairctl(*command, check=False)
        assert told.returncode == 3
        assert "newer pairingd (schema 99)" in told.stderr
        assert "hint: upgrade pairing" in told.stderr
    assert database.read_bytes() == content


def test_a_restart_by_an_older_program_leaves_the_newer_daemon_running(stage: Stage) -> None:
    stage.pairctl("start")
    running = stage.asks("status")["daemon"]
    with closing(sqlite3.connect(stage.home / "state.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
    refused = stage.pairctl("restart", check=False)
    assert refused.returncode == 3
    cause = refused.stderr.splitlines()[0]
    assert "newer pairingd (schema 99)" in cause
    assert cause.startswith("error: nothing was changed")
    assert stage.asks("status")["daemon"] == running


def test_a_test_of_the_daemon_starts_and_changes_nothing(stage: Stage) -> None:
    home = ("env", f"PAIRING_HOME={stage.path / 'fresh'}")
    test = (sys.executable, "-P", "-m", "pairingd", "--test")
    assert stage.run(*home, *test).stderr == ""
    assert not (stage.path / "fresh").exists()
    stage.pairctl("start")
    assert pairingd(stage, "--test").returncode == 0, "another daemon runs"
    stage.configure("[tmux]\nsesion = 1\n")
    refused = pairingd(stage, "--test")
    assert refused.returncode == 1
    assert "error: " in refused.stderr
    assert "unknown key tmux.sesion" in refused.stderr


def test_two_invitations_at_once_start_one_daemon(stage: Stage) -> None:
    names = ["octocat", "hubot", "mona"]
    for name in names:
        stage.guest(name)
    racing = [
        subprocess.Popen(
            [PAIRCTL, "invite", name, "--no-copy", "--json"],
            env=stage.environment,
            cwd=stage.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for one in racing:
        out, said = one.communicate(timeout=60)
        assert one.returncode == 0, out + said
    guests = {one["guest"] for one in stage.asks("status")["invitations"]}
    assert guests == {f"github:{name}" for name in names}


def pairingd(stage: Stage, *argv: str) -> subprocess.CompletedProcess[str]:
    return stage.run(sys.executable, "-P", "-m", "pairingd", *argv, check=False)


def test_a_second_daemon_exits_with_the_status_for_whoever_started_it(stage: Stage) -> None:
    assert pairingd(stage, "--detach").returncode == 0
    pid = stage.asks("status")["daemon"]["pid"]
    by_systemd = ("env", f"NOTIFY_SOCKET={stage.path}/notify")
    for before, argv, code in (
        ((), (), 1),
        (by_systemd, (), 4),
        ((), ("--detach",), 4),
        ((), ("--launchd",), 0),
    ):
        second = stage.run(*before, sys.executable, "-P", "-m", "pairingd", *argv, check=False)
        assert second.returncode == code
        assert f"running already (pid {pid})" in second.stderr


def test_a_detached_daemon_is_ready_once_its_caller_has_ended(stage: Stage) -> None:
    assert pairingd(stage, "--detach").returncode == 0
    assert "is ready" in (stage.home / "pairingd.log").read_text()
    stage.pairctl("status")


def test_a_daemon_that_dies_while_it_starts_is_a_failure_of_its_caller(stage: Stage) -> None:
    # A defect of whatever kind, told on the caller's terminal.
    broken = "from pairingd import __main__, wiring; wiring.assemble = None; "
    died = stage.run(
        sys.executable, "-c", f"{broken}raise SystemExit(__main__.main())", "--detach", check=False
    )
    assert died.returncode == 1
    assert "TypeError" in died.stderr


def test_a_daemon_whose_caller_does_not_wait_for_it_any_more_serves_all_the_same(
    stage: Stage,
) -> None:
    """After Ctrl-C, or if it was not ready in time."""
    begun, left = stage.path / "begun", stage.path / "left"
    program = f"""
import pathlib, time
from pairingd import __main__, wiring
def late(*given, assemble=wiring.assemble, **options):
    pathlib.Path({str(begun)!r}).touch()
    while not pathlib.Path({str(left)!r}).exists():
        time.sleep(0.01)
    return assemble(*given, **options)
wiring.assemble = late
raise SystemExit(__main__.main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, "--detach"], env=stage.environment, cwd=stage.path
    ) as caller:
        until(begun.exists, "it starts")
        caller.kill()
    left.touch()
    until(lambda: stage.pairctl("status", check=False).returncode == 0, "it serves")
    stage.pairctl("stop")


def test_a_detached_daemon_that_cannot_start_reports_it_where_it_was_called(stage: Stage) -> None:
    stage.configure("[dor]\n")
    failed = pairingd(stage, "--detach")
    assert failed.returncode == 1
    assert "unknown key dor" in failed.stderr
    assert "\nhint: " in failed.stderr
    assert pairingd(stage, "--detach", "--bogus").returncode == 2


def test_a_daemon_starts_from_a_directory_that_cannot_be_entered(stage: Stage) -> None:
    away = stage.path / "away"
    away.mkdir()
    command = [PAIRCTL, "start"]
    if not os.getuid():  # without capabilities root may enter as little as others
        command[:0] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    stage.run("sh", "-ec", f'cd {away}; chmod 0 .; exec "$@"', "sh", *command)
    away.chmod(0o700)
    away.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_detached_daemon_is_a_fresh_interpreter_and_not_a_fork(stage: Stage) -> None:
    assert pairingd(stage, "--detach").returncode == 0
    pid = stage.asks("status")["daemon"]["pid"]
    process = Path(f"/proc/{pid}")
    # proc(5), stat: the second field may hold spaces; field 9, flags; PF_FORKNOEXEC of the kernel.
    flags = int((process / "stat").read_text().rpartition(")")[2].split()[6])
    assert not flags & 0x40, "it has forked and not executed anything since"
    words = (process / "cmdline").read_bytes().split(b"\0")[:-1]
    assert [word.decode() for word in words] == [
        *(sys.executable, "-P", "-m", "pairingd", "--detach")
    ]
    assert (process / "cwd").readlink() == Path("/")
    assert (process / "fd" / "0").readlink() == Path("/dev/null")
    assert os.getsid(pid) != os.getsid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_programs_that_a_detached_daemon_starts_know_nothing_of_its_launch(
    stage: Stage,
) -> None:
    guest = stage.guest("octocat")
    stage.asks("invite", "octocat", "--no-copy")
    screen = guest.joins()
    screen.types("echo he''re")
    screen.shows("here")
    pid = stage.asks("status")["invitations"][0]["connections"][0]["pid"]
    assert b"PAIRINGD_READY_FD" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_under_launchd_the_log_is_a_file_and_holds_no_key(stage: Stage) -> None:
    guest = stage.guest("octocat")
    daemon = stage.daemon("--launchd", "--log-format", "json")
    stage.asks("invite", "octocat", "--no-copy")
    screen = guest.joins()
    screen.types("echo se''cret")
    screen.shows("secret")
    stage.has_seen(1)
    daemon.send_signal(signal.SIGTERM)
    _, said = daemon.communicate(timeout=WAIT_S)
    assert said == ""
    text = (stage.home / "pairingd.log").read_text()
    events = [line.get("event") for line in map(json.loads, text.splitlines())]
    assert [event for event in events if event in {"invited", "door-opened", "joined", "left"}] == [
        "invited",
        "door-opened",
        "joined",
        "left",
    ]
    assert guest.key.with_suffix(".pub").read_text().split()[1] not in text
    assert "secret" not in text


def test_a_connected_guest_keeps_the_machine_awake(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "darwin":
        pytest.skip("caffeinate has a fixed path")
    notes = stage.path / "inhibited"
    programs_first(stage, monkeypatch, {"systemd-inhibit": f"echo $$ >{notes}\nexec cat"})
    guest = stage.guest("octocat")
    stage.asks("invite", "octocat", "--no-copy")
    assert not notes.exists()
    screen = guest.joins()
    pid = until(lambda: notes.read_text().strip() if notes.exists() else "", "a child")
    child = Path(f"/proc/{pid}")
    assert child.exists()
    stage.pairctl("revoke", "octocat")
    screen.ended()
    until(lambda: not child.exists(), "it may sleep again")


@pytest.mark.parametrize("notify", ["true", "false"])
def test_an_endpoint_that_changed_while_no_daemon_ran_is_announced_at_its_start(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, notify: str
) -> None:
    if sys.platform == "darwin":
        pytest.skip("osascript has a fixed path")
    notes = notes_of_the_desktop(stage, monkeypatch)
    stage.guest("octocat")
    command = stage.asks("invite", "octocat", "--no-copy")["command"]
    stage.pairctl("stop")
    stage.router_is("5.5.6.6")
    stage.configure(f"[host]\nnotify = {notify}\n")
    stage.pairctl("start")

    def warned() -> bool:
        return "endpoint-changed" in [one["code"] for one in stage.asks("status")["warnings"]]

    until(warned, "the status warns of it")
    moved = command.replace("5.5.5.5", "5.5.6.6")
    changes = [one for one in stage.asks("log")["events"] if one["kind"] == "endpoint-changed"]
    assert [one["data"]["command"] for one in changes] == [moved]
    assert stage.asks("status")["endpoints"][0]["command"] == moved
    if notify == "true":
        until(lambda: notes.exists() and moved in notes.read_text(), "a notification")
    assert notes.exists() == (notify == "true")
    stage.asks("restart")
    until(lambda: stage.asks("status")["mapping"]["state"] == "open", "the mapping is back")
    assert warned(), "the guests have not been told since"
    shown = stage.asks("invite", "--show", "octocat")
    assert shown["command"] == moved
    assert "endpoint-changed" not in [one["code"] for one in shown["warnings"]]
    assert not warned()


def test_keep_awake_can_be_switched_off(stage: Stage) -> None:
    stage.configure("[host]\nkeep_awake = false\n")
    stage.pairctl("start")
    settings = {one["key"]: one["value"] for one in stage.asks("config")["settings"]}
    assert settings["host.keep_awake"] is False
