"""`pairctl uninstall`: all that pairing made goes, and whatever else there is stays."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pairctl import removal
from pairctl.__main__ import main
from pairctl.command_line.arguments import parse
from pairctl.commands import uninstall
from pairctl.services.origin import Origin
from pairctl.services.steps import Keep, Remove, Rmdir, Write, perform
from pairctl.services.systemd import Systemd
from pairingd.core.model import Access, Mapping, Rights, State
from pairingd.core.refusal import PairingError
from pairingd.core.rules import step
from pairingd.home.paths import FILES, Paths, find_paths
from pairingd.process.left_over import boot, start_time
from pairingd.state.live import mark_name
from pairingd.state.store import Process, Store
from tests.boxed import leaves_much_to_remove
from tests.core.make import START, invite
from tests.fakes.daemon import FakeDaemon
from tests.stage import Stage, is_open, until

MAPPING = Mapping(
    id="1",
    protocol="upnp",
    network="n",
    gateway="192.168.1.1",
    external_host="",
    external_port=2222,
    internal_host="192.168.1.2",
    internal_port=40000,
    token="t",
)


@pytest.fixture
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own stays as it is."""
    monkeypatch.setattr("pairctl.services.find", lambda: None)


@pytest.fixture
def paths(home: Path, no_service: None) -> Paths:
    return find_paths()


def asks(capsys: pytest.CaptureFixture[str], *options: str, status: int = 0) -> dict[str, Any]:
    assert main(["uninstall", "--json", *options]) == status
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def fill(home: Path) -> set[Path]:
    """As a daemon of some age leaves it."""
    Store.open(home / "state.db", 0).close()
    names = (
        *("authorized_keys", "sshd_config", "sshd_config.partial", "pairingd.lock"),
        *("host_ed25519", "host_ed25519.pub", "pairingd.log", "pairingd.log.1", "pairingd.stderr"),
        *("state.db.unreadable-1764000000", "state.db.unreadable-1764000000-wal"),
    )
    for name in names:
        (home / name).touch()
    for name in ("pairingd.sock", "tmux.sock"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(home / name))
    return set(home.iterdir())


def test_every_name_of_ours_is_either_removed_or_the_user_s() -> None:
    assert {*FILES, "config", "directories"} == set(Paths.__slots__)


def test_uninstall_removes_every_file_that_pairing_made(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    made = fill(home)
    result = asks(capsys)
    assert not home.exists()
    assert set(result["removed"]) == {str(home), *map(str, made)}
    assert (result["kept"], result["reasons"]) == ([], {})
    assert asks(capsys)["removed"] == []
    assert main(["uninstall"]) == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert main(["uninstall", "--dry-run"]) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_a_dry_run_lists_exactly_what_would_be_removed_and_removes_nothing(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    made = fill(home)
    (home / "config.toml").touch()
    steps = asks(capsys, "--dry-run")["steps"]
    assert set(home.iterdir()) == made | {home / "config.toml"}
    shown = [step["path"] for step in steps if step["step"] in {"remove", "rmdir"}]
    assert main(["uninstall", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert f"keep   {home}/config.toml\n       you have written it" in text
    assert asks(capsys)["removed"] == [path for path in shown if path.startswith(str(home))]


def test_a_dry_run_passes_over_what_a_running_daemon_removes_meanwhile(
    home: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home)
    box_in(home)
    (home / "live").mkdir()
    (home / "live" / "a1.write.99").touch()
    listed = removal.plan(paths)
    gone = {"sshd_config.partial", "pairingd.sock", "tmux.sock", "a1.write.99", "0a1b2c3d"}
    listdir = os.listdir

    def lists_and_loses(directory: str) -> list[str]:
        names = listdir(directory)
        for name in gone.intersection(names):
            path = Path(directory, name)
            path.rename(home.parent / name)
        return names

    monkeypatch.setattr(os, "listdir", lists_and_loses)
    kept = [step for step in listed if Path(step.path).name not in gone]
    assert removal.plan(paths) == kept


@pytest.mark.parametrize(
    ("command", "name"), [("install", "a[31m\u202eb"), ("uninstall", "a\x1b[31m\u202eb")]
)
def test_a_dry_run_prints_no_control_character_of_a_path(
    short_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
) -> None:
    home = short_path / name
    home.mkdir(mode=0o700)
    monkeypatch.setenv("PAIRING_HOME", str(home))
    assert main([command, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "a[31mb" in shown
    assert shown.replace("\n", "").isprintable()


def test_files_that_are_not_certainly_ours_are_kept(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    precious = home / "precious"
    precious.write_text("")
    strangers = {"precious", "state.db.backup", "pairingd.log.old", "authorized_keys", "tmux.sock"}
    for name in ("authorized_keys", "tmux.sock"):
        (home / name).unlink()
    (home / "state.db.backup").touch()
    (home / "pairingd.log.old").touch()
    (home / "authorized_keys").symlink_to(precious)
    (home / "tmux.sock").mkdir()
    (home / "config.toml").touch()
    result = asks(capsys)
    assert {path.name for path in home.iterdir()} == strangers | {"config.toml"}
    assert result["kept"] == [str(home / "config.toml"), str(home)]
    assert "pairingd.log.old" in result["reasons"][str(home)]


def test_sockets_of_a_daemon_without_xdg_runtime_dir_are_removed_too(
    home: Path,
    no_service: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After su or in cron it is not set, and the sockets are where state.db is."""
    monkeypatch.delenv("PAIRING_HOME")
    for name in ("CONFIG", "STATE", "RUNTIME"):
        monkeypatch.setenv(f"XDG_{name}_{'DIR' if name == 'RUNTIME' else 'HOME'}", str(home / name))
    state = home / "STATE" / "pairing"
    state.mkdir(parents=True)
    fill(state)
    result = asks(capsys)
    assert result["kept"] == []
    assert not state.exists()
    state.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state / "tmux.sock"))
        server.listen()
        result = asks(capsys)
    assert result["kept"] == [str(state / "tmux.sock")]
    assert "the tmux session is running" in result["reasons"][str(state / "tmux.sock")]


def test_no_file_is_removed_from_a_home_where_no_daemon_has_run(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with PAIRING_HOME=~/.ssh."""
    (home / "authorized_keys").write_text("ssh-ed25519 AAAA the user's own\n")
    result = asks(capsys)
    assert result["removed"] == []
    assert (home / "authorized_keys").exists()


def test_a_session_whose_state_is_unknown_is_taken_to_run(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as silent:
        silent.bind(str(home / "tmux.sock"))
        assert asks(capsys)["kept"] == [str(home / "tmux.sock")]


def test_a_link_is_not_followed(
    home: Path, paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {path.name for path in fill(home)}
    home.rename(tmp_path / "elsewhere")
    home.symlink_to(tmp_path / "elsewhere")
    result = asks(capsys)
    assert {path.name for path in home.iterdir()} == made
    assert result["kept"] == [str(home)]
    assert "a link" in result["reasons"][str(home)]
    home.unlink()


def test_files_in_every_xdg_directory_are_removed_except_the_config(short_path: Path) -> None:
    names = ("CONFIG_HOME", "STATE_HOME", "RUNTIME_DIR")
    places = {f"XDG_{name}": str(short_path / name) for name in names}
    paths = find_paths(places, platform="linux")
    for directory in paths.directories:
        Path(directory).mkdir(parents=True)
    for path in (paths.config, paths.state_db, paths.host_key, paths.log, paths.lock):
        Path(path).touch()
    done = removal.remove(paths)
    assert done[-3:] == [
        Remove(paths.lock),
        Rmdir(str(short_path / "STATE_HOME" / "pairing")),
        Rmdir(str(short_path / "RUNTIME_DIR" / "pairing")),
    ]
    left = [path for path in short_path.rglob("*") if not path.is_dir()]
    assert left == [Path(paths.config)]
    assert removal.remove(paths) == [Keep(paths.config, "you have written it")]


def test_keep_state_keeps_every_file(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    made = fill(home)
    result = asks(capsys, "--keep-state")
    assert (result["removed"], result["kept"]) == ([], [str(home)])
    steps = asks(capsys, "--keep-state", "--dry-run")["steps"]
    assert not [step for step in steps if step.get("path", "").startswith(f"{home}/")]
    assert set(home.iterdir()) == made


def test_marks_of_live_invitations_are_removed_and_other_files_there_are_kept(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    live = home / "live"
    with closing(Store.open(home / "state.db", START)) as store:
        store.save(step(State(), invite(), START))
    [mark] = live.iterdir()
    used = mark_name(Rights("d4", Access.WRITE, 99, used=True))
    for name in ("notes", "b2.write", used):
        (live / name).touch()
    (live / "c3.read.99").write_text("not empty")
    (live / "e5.farewell.4711").write_text("of a daemon that was killed\n")
    result = asks(capsys)
    assert not mark.exists()
    assert {path.name for path in live.iterdir()} == {"notes", "b2.write", "c3.read.99"}
    assert result["kept"] == [str(live), str(home / "pairingd.lock")]
    assert set(home.iterdir()) == {live, home / "pairingd.lock"}
    assert asks(capsys)["kept"] == result["kept"]

    for path in live.iterdir():
        path.unlink()
    steps = asks(capsys, "--dry-run")["steps"]
    assert [step["path"] for step in steps if step["step"] == "rmdir"] == [str(live), str(home)]
    asks(capsys)
    assert not home.exists()


@pytest.mark.parametrize("kind", ["link", "no daemon has run"])
def test_a_live_directory_that_is_not_ours_is_kept(
    kind: str, home: Path, tmp_path: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    other_home = tmp_path / "theirs"
    other_home.mkdir()
    (other_home / "a1.write.99").touch()
    if kind == "link":
        fill(home)
        (home / "live").symlink_to(other_home)
    else:
        other_home.rename(home / "live")
    assert "pairing has not made all that is in it" in asks(capsys)["reasons"][str(home)]
    assert (home / "live" / "a1.write.99").exists()


def box_in(home: Path) -> Path:
    box = home / "box" / "0a1b2c3d"
    (box / "s" / "deep").mkdir(parents=True)
    for name in ("lock", "box.json", "s/left"):
        (box / name).touch()
    return box


def test_a_box_goes_in_a_later_run_if_a_session_runs_in_it(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    box = box_in(home)
    with (box / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shown = [step for step in asks(capsys, "--dry-run")["steps"] if step["step"] == "keep"]
        result = asks(capsys)
    assert result["kept"] == [step["path"] for step in shown] == [str(box), paths.lock]
    assert result["reasons"][paths.lock].startswith("it shows that pairing has made what stays")
    assert {path.name for path in home.iterdir()} == {"box", "pairingd.lock"}
    assert asks(capsys)["kept"] == []
    assert not home.exists()


def test_what_is_no_box_is_kept(
    home: Path, paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    box = box_in(home)
    (tmp_path / "precious").touch()
    (box.parent / "11111111").symlink_to(tmp_path)
    (box.parent / "mine").mkdir()
    result = asks(capsys)
    assert "11111111, mine" in result["reasons"][str(box.parent)]
    assert {path.name for path in box.parent.iterdir()} == {"11111111", "mine"}
    assert (tmp_path / "precious").exists()


def test_nothing_that_a_guest_has_left_in_a_box_stays(
    not_root: None, home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    leaves_much_to_remove(box_in(home) / "s")
    assert main(["uninstall", "--dry-run"]) == 0
    assert "red" not in capsys.readouterr().out
    assert asks(capsys)["kept"] == []
    assert not home.exists()


@pytest.fixture
def not_root(home: Path) -> Iterator[None]:
    """Root may remove everything."""
    if os.geteuid():
        yield
    elif sys.platform == "darwin":
        pytest.skip("no setresuid")
    else:
        os.chown(home, 65534, -1)
        os.setresuid(65534, 65534, 0)
        yield
        os.setresuid(0, 0, 0)


def test_what_could_not_be_removed_goes_in_a_later_run(
    not_root: None, home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    directories = (box_in(home).parent, home / "live")
    (home / "live").mkdir()
    for closed in directories:
        closed.chmod(0o500)
    left = asks(capsys)
    for closed in directories:
        assert left["reasons"][str(closed)] == "you have no permission to change it"
        closed.chmod(0o700)
    asks(capsys)
    assert not home.exists()


@pytest.mark.parametrize(
    ("kind", "why"),
    [("file", "not a directory"), ("link to itself", "a link"), ("closed", "no permission")],
)
def test_a_home_that_cannot_be_entered_is_kept(
    not_root: None,
    home: Path,
    paths: Paths,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    why: str,
) -> None:
    if kind == "closed":
        home.chmod(0o000)
    else:
        home.rmdir()
        home.touch() if kind == "file" else home.symlink_to(home)
    kept = [step for step in asks(capsys, "--dry-run")["steps"] if step["step"] == "keep"]
    assert [step["path"] for step in kept] == [str(home)]
    assert why in kept[0]["why"]
    if kind != "closed":
        home.unlink()


@pytest.mark.parametrize(("kind", "kept"), [("file", []), ("closed", ["state"])])
def test_a_directory_that_cannot_be_seen_is_no_failure(
    not_root: None,
    home: Path,
    no_service: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    kept: list[str],
) -> None:
    monkeypatch.delenv("PAIRING_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    state = home / "state"
    state.touch() if kind == "file" else state.mkdir(mode=0o000)
    steps = asks(capsys, "--dry-run")["steps"]
    found = [step["path"] for step in steps if step["step"] == "keep"]
    assert found == [str(home / name / "pairing") for name in kept]
    if kind == "closed":
        state.chmod(0o700)


# Fail closed


def test_nothing_is_removed_while_a_daemon_holds_the_lock(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    made = fill(home)
    with (home / "pairingd.lock").open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        error = asks(capsys, status=1)["error"]
    assert error["code"] == "stop-failed"
    assert "4711" in error["message"]
    assert set(home.iterdir()) == made


def test_nothing_is_removed_if_the_daemon_does_not_end(home: Path, paths: Paths) -> None:
    made = fill(home)
    (home / "pairingd.sock").unlink()
    with (home / "pairingd.lock").open("w") as lock, FakeDaemon(home / "pairingd.sock"):
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PairingError) as failed:
            uninstall.run(parse(["uninstall", "--json"]), stop_limit=0.2)
    assert failed.value.code == "stop-failed"
    assert set(home.iterdir()) == made - {home / "pairingd.sock"}


def stays(home: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Why the state did; the rest has gone."""
    result = asks(capsys)
    (why,) = set(result["reasons"].values())
    left = {path.name for path in home.iterdir()}
    assert "state.db" in left <= {"state.db", "state.db-wal", "state.db-shm"}
    assert set(result["kept"]) == {str(home / name) for name in left}
    return str(why)


@pytest.mark.parametrize("crashed", [True, False])
def test_a_mapping_that_may_still_stand_keeps_the_state(
    crashed: bool, home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    store = Store.open(home / "state.db", 0)
    store.record(MAPPING)
    if not crashed:
        store.close()
    why = stays(home, capsys)
    assert "the router at 192.168.1.1 may still forward port 2222" in why
    if crashed:
        store.close()
    assert (home / "state.db-wal").exists() is False
    with closing(Store.open(home / "state.db", 0)) as again:
        assert again.mappings() == [MAPPING]


def test_a_database_that_a_killed_daemon_was_setting_aside_stays_for_its_mapping(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    with closing(Store.open(home / "state.db", 0)) as store:
        store.record(MAPPING)
    aside = (home / "state.db").rename(home / "state.db.unreadable-1764000001")
    result = asks(capsys)
    assert "may still forward port 2222" in result["reasons"][str(aside)]
    assert aside.exists()
    with closing(Store.open(home / "state.db", 0)) as again:
        assert again.mappings() == [MAPPING]


def test_the_state_goes_once_the_mapping_is_closed(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store.open(home / "state.db", 0)) as store:
        store.record(MAPPING)
        store.erase(MAPPING.id)
    asks(capsys)
    assert not home.exists()


def test_a_connection_that_a_killed_daemon_left_keeps_the_state(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as guest:
        with closing(Store.open(home / "state.db", 0)) as store:
            began = start_time(guest.pid)
            assert began is not None
            store.record_process(Process(guest.pid, began, boot()))
        assert "a guest's connection" in stays(home, capsys)
        guest.kill()
    asks(capsys)
    assert not home.exists()


def test_a_process_that_has_the_number_of_a_former_connection_keeps_nothing(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store.open(home / "state.db", 0)) as store:
        store.record_process(Process(os.getpid(), 0.0, boot()))
    asks(capsys)
    assert not home.exists()


def test_a_full_disk_keeps_no_journal_from_being_read(home: Path, paths: Paths) -> None:
    """A process that may write no byte into a file is as one on a full disk."""
    made = fill(home)

    def runs(*arguments: str) -> None:
        full_disk = ("sh", "-c", 'ulimit -f 0 && exec "$@"', "sh")
        subprocess.run([*full_disk, sys.executable, "-P", *arguments], check=True)

    runs("-m", "pairingd", "--test")
    assert set(home.iterdir()) == made
    for name in ("state.db-wal", "state.db-shm"):
        (home / name).touch()
    find = "from pairingd.home.paths import find_paths"
    runs("-c", f"from pairctl import removal; {find}; removal.remove(find_paths())")
    assert not home.exists()


@pytest.mark.parametrize("content", [b"this is no database", b"SQLite format 3\0" * 100])
def test_a_journal_that_cannot_be_read_keeps_the_state(
    content: bytes, home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state.db").write_bytes(content)
    assert "cannot be read" in stays(home, capsys)
    assert (home / "state.db").read_bytes() == content


def test_state_of_a_newer_version_is_kept(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store.open(home / "state.db", 0)) as store:
        store._database.execute("PRAGMA user_version = 99")
    assert "a newer version" in stays(home, capsys)


@pytest.mark.parametrize("installed", [True, False])
def test_a_service_that_cannot_be_removed_is_a_failure_where_there_is_one(
    installed: bool,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text("#!/bin/sh\necho Failed to connect to bus; exit 1\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:/usr/bin:/bin")
    environ = {"HOME": str(tmp_path), "PAIRING_HOME": str(home)}
    service = Systemd(Origin("/python", os.getuid(), str(tmp_path), find_paths(), environ))
    monkeypatch.setattr("pairctl.services.find", lambda: service)
    if installed:
        perform([step for step in service.install() if isinstance(step, Write)], "")
    made = fill(home)
    result = asks(capsys, status=int(installed))
    if installed:
        assert result["error"]["code"] == "service-failed"
        assert set(home.iterdir()) == made
        (home / "pairingd.sock").unlink()
        with FakeDaemon(home / "pairingd.sock") as daemon:
            asks(capsys, status=1)
            assert "stop" not in [method for method, _ in daemon.requests.queue]
    else:
        assert not home.exists()


# All of it


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, no_service: None) -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def test_after_a_session_only_the_user_s_own_is_left(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    config = str(stage.home / "config.toml")
    tmux = str(stage.home / "tmux.sock")
    result = stage.asks("uninstall")
    assert stage.mappings() == []
    assert result["kept"] == [config, tmux]
    assert "kill-server" in result["reasons"][tmux]
    assert {path.name for path in stage.home.iterdir()} == {"config.toml", "tmux.sock"}
    stage.run("tmux", "-S", tmux, "has-session", "-t", "=pairing")

    stage.run("tmux", "-S", tmux, "kill-server")
    assert stage.asks("uninstall")["kept"] == [config]
    assert [path.name for path in stage.home.iterdir()] == ["config.toml"]


def test_a_mapping_left_by_a_killed_daemon_is_reported_with_how_to_close_it(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.door = stage.asks("status")["door"]["port"]
    os.kill(stage.asks("status")["daemon"]["pid"], signal.SIGKILL)
    until(lambda: not is_open(stage.door), "the daemon is gone")
    why = stage.asks("uninstall")["reasons"][str(stage.home / "state.db")]
    assert f"may still forward port {stage.external_port}" in why
    assert why.endswith("pairctl start, pairctl end, pairctl uninstall")
    assert not (stage.home / "authorized_keys").exists()

    for command in ("start", "end", "uninstall"):
        stage.pairctl(command)
    assert stage.mappings() == []
    assert {path.name for path in stage.home.iterdir()} == {"config.toml", "tmux.sock"}


def test_state_of_an_older_version_is_kept_if_its_journal_names_a_mapping(
    home: Path, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    old = home / "state.db"
    shutil.copy(Path(__file__).parent.parent / "data" / "state-v1.db", old)
    before = old.read_bytes()
    assert "may still forward port" in stays(home, capsys)
    assert old.read_bytes() == before
    assert not (home / "live").exists()
