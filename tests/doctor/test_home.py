"""The doctor in homes in which no daemon would start, or in which it may not look."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.stage import ROOT
from tests.waiting import WAIT_S

NOBODY = 65534
needs_root = pytest.mark.skipif(
    os.getuid() != 0 or sys.platform != "linux",
    reason="only root can act as another user; mounts and XDG directories are of Linux",
)
SHOWN = ("daemon", "service", "home", "disk", "tmux")
DOCTOR = f"""
import sys
from pairingd.doctor import __main__ as doctor
doctor.CHECKS = tuple(check for check in doctor.CHECKS if check.name in {SHOWN})
"""
AS_NOBODY = f"""
import concurrent.futures.thread, encodings.utf_8_sig, os  # while it may read them
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
"""


@pytest.fixture
def home(short_path: Path) -> Path:
    home = short_path / "home"
    home.mkdir(mode=0o700)
    return home


def environment(**places: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": "/nonexistent", **places}


def run(*argv: str, **places: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env=environment(**places),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )


def findings(*words: str, become: str = "", **places: str) -> dict[str, dict[str, Any]]:
    """The last finding of each name."""
    done = run(sys.executable, "-c", f"{DOCTOR}{become}\ndoctor.main()", *words, **places)
    assert done.stderr == ""
    return {found["name"]: found for found in map(json.loads, done.stdout.splitlines())}


def newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as state:
        state.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("state.db", newer),
        *((name, Path.mkdir) for name in ("state.db", "pairingd.lock", "pairingd.log")),
        *((name, Path.mkdir) for name in ("pairingd.stderr", "pairingd.sock")),
        *((name, os.mkfifo) for name in ("state.db", "pairingd.lock", "pairingd.log")),
        ("pairingd.stderr", os.mkfifo),
        ("authorized_keys", Path.touch),
    ],
)
def test_what_keeps_the_daemon_from_starting_is_named(
    home: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    spoil(home / name)
    tested = run(sys.executable, "-m", "pairingd", "--test", PAIRING_HOME=str(home))
    assert tested.returncode == 1
    started = run(sys.executable, "-m", "pairingd", "--detach", PAIRING_HOME=str(home))
    assert (started.returncode, started.stderr) == (1, tested.stderr)
    [error, hint] = tested.stderr.splitlines()
    assert str(home / name) in error
    daemon = findings("--fix", PAIRING_HOME=str(home))["daemon"]
    assert daemon["state"] == "fail"
    assert daemon["message"].endswith(error.removeprefix("error: "))
    assert daemon["hint"] == hint.removeprefix("hint: ")
    if spoil in {Path.mkdir, os.mkfifo}:
        assert daemon["hint"] == "move it out of the way"


@needs_root
@pytest.mark.parametrize("below", ["", "/below"])
def test_a_home_on_a_read_only_disk_is_named(home: Path, below: str) -> None:
    (home / "pairingd.log").touch()
    (home / "pairingd.log").chmod(0o644)
    mounts = f"mount --bind {home} {home} && mount -o remount,bind,ro {home} && "
    script = f'{mounts}exec "$@"'
    program = ("unshare", "-m", "sh", "-c", script, "sh", sys.executable)
    done = run(*program, "-c", f"{DOCTOR}\ndoctor.main()", "--fix", PAIRING_HOME=f"{home}{below}")
    assert done.returncode == 0, done.stderr
    found = {found["name"]: found for found in map(json.loads, done.stdout.splitlines())}
    assert "Read-only file system" in found["daemon"]["message"]
    assert found["daemon"]["state"] == "fail"
    assert below or "Read-only file system" in found["home"]["message"]


@needs_root
@pytest.mark.parametrize(
    ("variable", "failed"),
    [
        ("XDG_CONFIG_HOME", {"config", "daemon", "home"}),
        ("XDG_STATE_HOME", {"daemon", "home"}),
        ("XDG_RUNTIME_DIR", set[str]()),  # the control socket then lies beside the state
    ],
)
def test_no_check_fails_itself_where_it_may_not_look(
    home: Path, variable: str, failed: set[str]
) -> None:
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    home.parent.chmod(0o755)
    (closed / "tmux").touch()
    config = home / ".config" / "pairing" / "config.toml"
    config.parent.mkdir(parents=True)
    config.parent.chmod(0o700)
    config.write_text(f'[tmux]\ncommand = "{closed / "tmux"}"\n')
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    places = {"HOME": str(home), variable: str(closed / "below")}
    found = findings(become=AS_NOBODY, **places)
    assert not [one["message"] for one in found.values() if "check itself" in one["message"]]
    assert {name for name, one in found.items() if one["state"] == "fail"} - {"tmux"} == failed
    if variable != "XDG_CONFIG_HOME":
        assert found["tmux"]["message"] == f"there is no tmux at {closed / 'tmux'}"


def test_an_empty_home_is_as_an_unset_one() -> None:
    script = "from pairctl.__main__ import main; main(['install', '--dry-run', '--json'])"
    steps = [
        run("env", *given, sys.executable, "-c", script).stdout
        for given in (("-u", "HOME"), ("HOME=",))
    ]
    assert steps[0] == steps[1] != ""
