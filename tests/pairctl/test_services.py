"""Plans of steps: recorded for both systems, and performed against stand-ins for their programs."""

from __future__ import annotations

import json
import os
import plistlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pairctl.__main__ import main
from pairctl.services import Manager, installed, steps
from pairctl.services.launchd import LABEL, Launchd
from pairctl.services.origin import Origin, stable
from pairctl.services.systemd import Systemd
from pairingd.core.refusal import PairingError
from pairingd.home.paths import find_paths
from tests.fakes.daemon import FakeDaemon
from tests.golden import is_golden

ROOT = Path(__file__).parent.parent.parent
GOLDEN = Path(__file__).parent / "golden" / "services"
VERBS = ("install", "uninstall", "start", "stop", "restart")


def launchd(home: str = "/Users/mark", **environ: str) -> Launchd:
    places = {"HOME": home, **environ}
    paths = find_paths(places, platform="darwin")
    python = "/Users/mark/.local/pipx/venvs/pairctl/bin/python"
    return Launchd(Origin(python, 501, home, paths, places))


def systemd(home: str = "/home/mark", **environ: str) -> Systemd:
    places = {"HOME": home, "XDG_RUNTIME_DIR": "/run/user/1000", **environ}
    paths = find_paths(places, platform="linux")
    return Systemd(Origin("/opt/pairing/bin/python", 1000, home, paths, places))


MANAGERS: dict[str, Callable[..., Launchd | Systemd]] = {"launchd": launchd, "systemd": systemd}


def test_launchd_and_systemd_are_managers() -> None:
    managers: list[Manager] = [launchd(), systemd()]
    assert {manager.name for manager in managers} == {"launchd", "systemd --user"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", MANAGERS)
def test_the_plan_is_the_recorded_one(name: str, verb: str) -> None:
    plan = getattr(MANAGERS[name](), verb)()
    shown = "".join(f"{steps.shown(step)}\n" for step in plan)
    is_golden(GOLDEN / f"{name}-{verb}.txt", shown)


@pytest.mark.parametrize("name", MANAGERS)
def test_a_second_install_writes_nothing_and_restarts_nothing(name: str, home: Path) -> None:
    manager = MANAGERS[name](str(home))
    assert manager.environment() is None
    for step in manager.install():
        if isinstance(step, steps.Write):
            steps.perform([step], "")
    assert not any(isinstance(step, steps.Write) for step in manager.install())
    assert not {"bootout", "restart", "stop"} & words_of(manager.install())
    assert manager.environment() is not None
    elsewhere = MANAGERS[name](str(home), PAIRING_HOME="/p")
    assert any(isinstance(step, steps.Write) for step in elsewhere.install())


def words_of(plan: list[steps.Step]) -> set[str]:
    return {word for step in plan if isinstance(step, steps.Run) for word in step.argv}


def test_an_install_interrupted_before_its_restart_is_repeated_by_the_next(home: Path) -> None:
    """launchd's stops the service before it writes."""
    manager = systemd(str(home))
    plan = manager.install()
    steps.perform([step for step in plan if isinstance(step, steps.Write)], "")
    written = Path(manager.file).stat().st_mtime_ns
    lock = Path(find_paths({"HOME": str(home)}, platform="linux").lock)
    lock.parent.mkdir(parents=True)
    lock.touch()
    os.utime(lock, ns=(0, written - 1))  # signed by a daemon of the unit before
    assert manager.install() == plan
    os.utime(lock, ns=(0, written))
    assert not {"restart", "stop"} & words_of(manager.install())


@pytest.mark.parametrize("name", MANAGERS)
def test_what_is_no_file_of_a_service_is_written_again(name: str, home: Path) -> None:
    manager = MANAGERS[name](str(home))
    [write] = [step for step in manager.install() if isinstance(step, steps.Write)]
    file = Path(manager.file)
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    os.mkfifo(file.with_name(f".{file.name}.partial"))
    assert manager.environment() is None
    assert write in manager.install()
    steps.perform([write], "")
    assert file.read_text() == write.content
    assert list(file.parent.iterdir()) == [file]


def test_an_agent_cut_short_is_not_installed(home: Path) -> None:
    manager = launchd(str(home))
    [write] = [step for step in manager.install() if isinstance(step, steps.Write)]
    steps.perform([write._replace(content=write.content[:-20])], "")
    assert manager.environment() is None
    assert write in manager.install()


@pytest.mark.parametrize("name", MANAGERS)
@pytest.mark.parametrize("home", ["/p", "/a 'b' %h $HOME \\n", "/tab\there", "/ü"])
def test_the_place_of_its_files_reaches_the_service(name: str, home: str, tmp_path: Path) -> None:
    manager = MANAGERS[name](str(tmp_path), PAIRING_HOME=home)
    steps.perform([step for step in manager.install() if isinstance(step, steps.Write)], "")
    assert manager.environment() == {"PAIRING_HOME": home}


@pytest.mark.parametrize("name", MANAGERS)
@pytest.mark.parametrize("home", ["/a\x1bb", "/a\x07b", "/a\x7fb"])
def test_a_place_that_no_service_can_carry_is_refused(name: str, home: str, tmp_path: Path) -> None:
    manager = MANAGERS[name](str(tmp_path), PAIRING_HOME=home)
    with pytest.raises(PairingError) as refused:
        manager.install()
    assert refused.value.code == "path-unusable"
    assert "pairctl start" in refused.value.hint


def test_xdg_places_reach_the_unit_but_relative_ones_do_not(tmp_path: Path) -> None:
    manager = systemd(str(tmp_path), XDG_STATE_HOME="/state", XDG_CONFIG_HOME="config")
    assert manager.file == f"{tmp_path}/.config/systemd/user/pairingd.service"
    steps.perform([step for step in manager.install() if isinstance(step, steps.Write)], "")
    assert manager.environment() == {
        "XDG_STATE_HOME": "/state",
        "XDG_RUNTIME_DIR": "/run/user/1000",
    }
    assert systemd(XDG_CONFIG_HOME="/c").file == "/c/systemd/user/pairingd.service"


def test_the_agent_has_absolute_paths_and_the_keys_for_launchd() -> None:
    (written,) = [step for step in launchd().install() if isinstance(step, steps.Write)]
    agent = plistlib.loads(written.content.encode())
    assert agent["Label"] == LABEL
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["Umask"] == 0o077
    assert next(iter(agent)) == "Label", "in the order a person reads"
    assert "~" not in written.content
    assert "$" not in written.content
    words = [*agent["EnvironmentVariables"]["PATH"].split(":"), agent["StandardErrorPath"]]
    assert all(word.startswith("/") for word in [*words, agent["ProgramArguments"][0]])


def test_an_interpreter_in_homebrew_s_keg_is_named_by_its_lasting_path(tmp_path: Path) -> None:
    keg = tmp_path / "Cellar" / "pairing" / "0.1.0" / "libexec" / "bin" / "python"
    assert stable(str(keg)) == str(keg), "there is no other"
    lasting = tmp_path / "opt" / "pairing" / "libexec" / "bin" / "python"
    lasting.parent.mkdir(parents=True)
    lasting.symlink_to(sys.executable)
    assert stable(str(keg)) == str(lasting)


def test_a_wheel_has_the_templates() -> None:
    config = (ROOT / "pyproject.toml").read_text()
    for name in (f"launchd/{LABEL}.plist", "systemd/pairingd.service"):
        assert (ROOT / name).exists()
        folder = name.partition("/")[0]
        assert f'"{folder}" = "pairctl/services/templates/{folder}"' in config


# Performing


def test_files_are_written_whole_and_removed_idempotently(tmp_path: Path) -> None:
    target = tmp_path / "LaunchAgents" / "a.plist"
    made: list[steps.Step] = [
        steps.Directory(str(tmp_path / "logs")),
        steps.Write(str(target), "first"),
    ]
    steps.perform([*made, *made, steps.Write(str(target), "second")], "")
    assert target.read_text() == "second"
    assert target.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in target.parent.iterdir()] == ["a.plist"]
    steps.perform([steps.Remove(str(target)), steps.Remove(str(target))], "")
    assert not target.exists()


def test_a_file_that_cannot_be_written_whole_leaves_the_earlier_one_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.plist"
    steps.perform([steps.Write(str(target), "first")], "")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # as a full disk; setrlimit(2)
    try:
        with pytest.raises(PairingError, match=f"^{target}: File too large") as failed:
            steps.perform([steps.Write(str(target), "x" * 8192)], "ask the service manager")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed.value.hint.startswith("free space")
    assert target.read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("other", ["", "systemd/user/mine.service", "systemd/mine.conf"])
def test_uninstall_removes_the_units_directories_if_they_are_empty(
    short_path: Path, other: str
) -> None:
    manager = systemd(str(short_path))
    steps.perform([step for step in manager.install() if isinstance(step, steps.Write)], "")
    kept = short_path / ".config" / other
    if other:
        kept.touch()
    for _ in range(2):
        plan = manager.uninstall()
        steps.perform([step for step in plan if isinstance(step, steps.Remove)], "")
    left = {path for path in (short_path / ".config").rglob("*") if path.is_file()}
    assert left == ({kept} if other else set())
    assert (short_path / ".config" / "systemd").exists() is bool(other)
    assert (short_path / ".config" / "systemd" / "user").exists() is ("user" in other)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """A program of which each call notes its words in `calls`, then does `script`."""

    def make(script: str) -> tuple[str, ...]:
        path = tmp_path / "launchctl"
        path.write_text(f'#!/bin/sh\ncd {tmp_path}\necho "$@" >>calls\n{script}\n')
        path.chmod(0o755)
        return (str(path),)

    return make


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def test_a_failed_command_is_reported_with_its_output_and_the_remedy(
    program: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    argv = program("echo all is well; echo 'Bootstrap failed: 5' >&2; exit 5")
    with pytest.raises(PairingError) as failed:
        steps.perform([steps.Run(argv), steps.Run((*argv, "never"))], "do this")
    assert failed.value.code == "service-failed"
    assert failed.value.message.endswith("exit code 5: Bootstrap failed: 5")
    assert failed.value.hint == "do this"
    assert calls(tmp_path) == [""]
    steps.perform([steps.Run(argv, soft=(3, 5))], "")


def test_a_missing_program_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PairingError) as failed:
        steps.perform([steps.Run((str(tmp_path / "launchctl"),))], "")
    assert "No such file" in failed.value.message


def test_bootstrap_is_tried_until_it_holds(
    program: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    argv = program(
        "case $1 in print) test -e loaded; exit;; esac\n"
        "test -e drained && touch loaded && exit 0; touch drained; exit 37"
    )
    until = steps.Until((*argv, "print"), succeeds=True)
    step = steps.Run((*argv, "bootstrap"), soft=(5, 37), until=until, tries=10)
    steps.perform([step], "")
    assert calls(tmp_path).count("bootstrap") == 2
    steps.perform([step], "")
    assert calls(tmp_path).count("bootstrap") == 2, "what holds needs nothing done"


def test_bootout_fails_after_its_tries_if_the_job_stays(
    program: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    argv = program("test $1 = print")
    until = steps.Until((*argv, "print"), succeeds=False)
    with pytest.raises(PairingError) as failed:
        steps.perform([steps.Run((*argv, "bootout"), (1,), until, tries=3)], "")
    assert "print has not failed" in failed.value.message
    assert calls(tmp_path).count("bootout") == 3


def test_the_running_daemon_is_stopped_by_its_socket(sock: Path) -> None:
    with FakeDaemon(sock) as daemon:
        steps.perform([steps.Stop(1)], "")
        assert daemon.asked("stop") == {}


def test_last_words_of_launchd_are_only_those_of_this_start(home: Path) -> None:
    manager = launchd(str(home))
    assert manager.last_words() == ""
    stderr = home / "Library" / "Logs" / "pairing" / "pairingd.stderr"
    stderr.parent.mkdir(parents=True)
    stderr.write_text("error: old\n")
    manager = launchd(str(home))
    with stderr.open("a") as file:
        file.write("error: new\nhint: mend it\n")
    assert manager.last_words() == "error: new\nhint: mend it\n"
    stderr.write_text("again\n")
    assert manager.last_words() == "again\n", "it was emptied in between"


# The commands, on a machine without a service manager

needs_none = pytest.mark.skipif(
    sys.platform == "darwin" or Path("/run/systemd/system").exists(),
    reason="this machine has a service manager",
)


@needs_none
def test_install_without_a_service_manager_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert installed() is None
    assert main(["install", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no-service-manager"


@needs_none
def test_without_a_service_manager_a_dry_run_of_install_shows_the_one_it_would_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["install", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["steps"]
    assert ["systemctl", "--user"] in [step["argv"][:2] for step in plan if "argv" in step]


@needs_none
def test_without_a_service_manager_a_dry_run_of_uninstall_shows_no_service(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["uninstall", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["steps"]
    assert [(step["step"], step["path"]) for step in plan] == [("rmdir", str(home))]


@needs_none
def test_without_a_service_manager_uninstall_still_ends_the_daemon(
    home: Path, sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing: dict[str, object] = {
        "installed": False,
        "service": None,
        "file": None,
        "kept": [],
        "reasons": {},
    }
    assert main(["uninstall", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**nothing, "removed": [str(home)]}
    home.mkdir()
    with FakeDaemon(sock) as daemon:
        assert main(["uninstall", "--json"]) == 0
        assert daemon.asked("stop") == {}
    assert json.loads(capsys.readouterr().out) == {**nothing, "removed": [str(home)]}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_passes_systemds_own_check(tmp_path: Path) -> None:
    unit = tmp_path / "pairingd.service"
    (written,) = [step for step in systemd().install() if isinstance(step, steps.Write)]
    unit.write_text(written.content.replace("/opt/pairing/bin/python", sys.executable))
    verify = ["systemd-analyze", "--user", "verify", str(unit)]
    environ = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(verify, capture_output=True, text=True, env=environ, check=False)
    assert (done.returncode, done.stderr) == (0, "")
