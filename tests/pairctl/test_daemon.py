"""Starting and stopping, with the real daemon where it can be made to do it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pairctl import services
from pairctl.__main__ import main
from pairctl.command_line.arguments import parse
from pairctl.commands import stop
from pairctl.control import daemon
from pairctl.control.client import connect
from pairctl.services.launchd import Launchd
from pairctl.services.origin import Origin
from pairctl.services.systemd import Systemd
from pairingd.core.refusal import PairingError
from pairingd.home.paths import find_paths
from tests.fakes.daemon import FakeDaemon
from tests.stage import until
from tests.waiting import WAIT_S


@pytest.fixture
def stopped(home: Path) -> Iterator[None]:
    """Whatever daemon a test leaves running is ended after it."""
    yield
    lock = home / "pairingd.lock"
    if not lock.exists():
        return
    with lock.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(int(held.read()), signal.SIGTERM)
            fcntl.flock(held, fcntl.LOCK_SH)


@pytest.mark.usefixtures("stopped")
def test_start_restart_and_stop(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> dict[str, object]:
        assert main([*words, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert isinstance(document, dict)
        return document

    first = run("start")
    assert first["started"] is True
    assert run("start") == {**first, "started": False}
    second = run("restart")
    assert second["started"] is True
    assert second["pid"] != first["pid"]
    assert run("stop") == {"pid": second["pid"]}
    assert main(["stop"]) == 3
    assert "hint: there is nothing to stop; pairctl start starts one\n" in capsys.readouterr().err
    third = run("restart")
    assert third["started"] is True


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_who_watches_is_told_that_the_daemon_has_stopped(form: list[str]) -> None:
    assert main(["start"]) == 0
    watch = [sys.executable, "-m", "pairctl", "status", "--watch", *form]
    with subprocess.Popen(
        watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout
        assert watching.stdout.readline(), "it watches"
        assert main(["stop"]) == 0
        out, err = watching.communicate(timeout=WAIT_S)
    assert watching.returncode == 3
    if form:
        assert json.loads(out.splitlines()[-1])["error"]["code"] == "daemon-stopped"
    else:
        assert err == "error: pairingd has stopped\nhint: pairctl start\n"


@pytest.mark.usefixtures("stopped")
def test_invite_starts_the_daemon_and_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.toml").write_text('[tmux]\ncommand = "/nonexistent/tmux"\n')
    assert main(["invite", "octocat"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("starting pairingd\nerror: /nonexistent/tmux: ")
    assert main(["status"]) == 0


def test_a_failed_start_is_reported_with_the_daemons_own_error(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.toml").write_text("[door]\nprot = 1\n")
    for words in (["start"], ["restart"], ["invite", "octocat"]):
        assert main([*words, "--json"]) == 3
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "start-failed"
        assert "prot" in error["message"]
        assert error["hint"]


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("command", "stays"),
    [
        (
            "restart",
            "nothing was changed, and pairingd (pid {}) runs on: a new one would not start: ",
        ),
        ("install", "nothing was changed, because pairingd would not start: "),
    ],
)
def test_the_running_daemon_stays_if_no_other_would_start(
    command: str,
    stays: str,
    home: Path,
    launchctl: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(services, "manager", lambda **_: services.installed())
    launchctl.write_text("#!/bin/sh\nexit 125\n")
    ran = launchctl.with_name("ran")
    with daemon.start(timeout_s=0.5) as client:
        pid = client.hello["pid"]
    launchctl.write_text(f"#!/bin/sh\ntouch {ran}\n")
    (home / "config.toml").write_text("[door]\nprot = 1\n")
    capsys.readouterr()
    assert main([command, "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "start-failed"
    assert error["message"].startswith(stays.format(pid))
    assert "unknown key door.prot" in error["message"]
    with connect() as client:
        assert client.hello["pid"] == pid
    assert not ran.exists()


@pytest.mark.parametrize("invited", [False, True])
def test_an_older_daemon_can_be_stopped(
    sock: Path, invited: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (sock.parent / "live").mkdir()
    (sock.parent / "live" / "5dbb7bc9.farewell.4711").touch()
    if invited:
        (sock.parent / "live" / "5dbb7bc9.write.1795996553").touch()
    with FakeDaemon(sock, version="0.0.1", protocol=0) as daemon:
        assert main(["stop"]) == 0
        assert daemon.asked("stop") == {}
    stay = "; invitations stay until their time is up" if invited else ""
    assert capsys.readouterr().out == f"pairingd (pid {os.getpid()}) has ended{stay}\n"


def test_a_daemon_that_does_not_end_is_a_failure(sock: Path, home: Path) -> None:
    lock = home / "pairingd.lock"
    lock.write_text(f"{os.getpid()}\n")
    with lock.open() as held, FakeDaemon(sock):
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PairingError) as failed:
            stop.run(parse(["stop", "--json"]), limit_s=0.2)
    assert failed.value.code == "stop-failed"


@contextmanager
def interrupted_when(happens: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C in this process, once that has happened."""

    def interrupt() -> None:
        until(happens, "it happens")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_ctrl_c_while_the_daemon_stops_says_that_it_does(
    command: str, sock: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = home / "pairingd.lock"
    lock.write_text(f"{os.getpid()}\n")
    with lock.open() as held, FakeDaemon(sock):
        fcntl.flock(held, fcntl.LOCK_EX)
        with interrupted_when(lambda: not sock.exists()):  # it has answered, and goes
            assert main([command, "--json"]) == 130
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "goes-on"
    assert error["message"] == f"pairingd (pid {os.getpid()}) is stopping"


def test_ctrl_c_while_the_daemon_starts_says_that_it_may_go_on(tmp_path: Path) -> None:
    began = tmp_path / "began"
    slow = ("/bin/sh", "-c", f"touch {began}; exec sleep 2")
    script = f"""
import sys
from pairctl.control import daemon
from pairctl.__main__ import main
daemon._PAIRINGD = {slow}
sys.exit(main(["start", "--json"]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as starting:
        until(began.exists, "it starts one")
        starting.send_signal(signal.SIGINT)
        out, _ = starting.communicate(timeout=WAIT_S)
    assert starting.returncode == 130
    assert json.loads(out)["error"]["code"] == "goes-on"


# An installed agent that launchd does not run. `launchctl` is a stand-in.

# What launchctl does, and what the warning says of it.
NEVER_S = 5.0  # for what never happens
NOT_RUN = {
    "bootstrap fails for ever": (
        "case $1 in print) exit 113 ;; bootstrap) echo 'Bootstrap failed: 5'; exit 5 ;; esac",
        "launchd refuses to load the agent (launchctl: exit code 5)",
    ),
    "no such domain": (
        "echo 'Domain does not support specified action'; exit 125",
        "nobody is logged in at this Mac's own screen",
    ),
    "no such domain, another code": ("exit 112", "nobody is logged in at this Mac's own screen"),
    "no domain for bootstrap alone": (
        "case $1 in print) exit 113 ;; bootstrap) exit 125 ;; esac",
        "nobody is logged in at this Mac's own screen",
    ),
    "kickstart fails": (
        (
            "case $1 in bootout) touch out ;; print) test ! -e out; exit ;; bootstrap) rm -f out ;; "
            "kickstart) echo 'not today'; exit 78 ;; esac"
        ),
        "exit code 78: not today",
    ),
    "it is loaded and never runs": (
        "case $1 in bootout) touch out ;; print) test ! -e out; exit ;; bootstrap) rm -f out ;; esac",
        "launchd has not run pairingd",
    ),
    "launchctl hangs": ("exec sleep 600", "no answer within"),
}


@pytest.fixture
def launchctl(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script that becomes what `launchctl` does; an agent of this home is installed."""
    paths = find_paths()
    places = {"PAIRING_HOME": str(home)}
    monkeypatch.setattr(
        "pairctl.services.installed",
        lambda: Launchd(Origin("/usr/bin/python3", 501, str(tmp_path), paths, places)),
    )
    script = tmp_path / "bin" / "launchctl"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return script


@pytest.mark.usefixtures("stopped")
@pytest.mark.waits
@pytest.mark.parametrize("case", NOT_RUN)
def test_an_agent_that_launchd_does_not_run_is_started_by_hand(
    case: str, launchctl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, why = NOT_RUN[case]
    within = NEVER_S if case in {"it is loaded and never runs", "launchctl hangs"} else WAIT_S
    launchctl.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
    with daemon.start(timeout_s=within) as client:
        first = client.hello["pid"]
    stderr = capsys.readouterr().err
    assert stderr.startswith("warning: ")
    assert why in stderr
    assert "pairingd was started by hand\nhint: " in stderr
    assert "launchctl print gui" not in stderr
    with daemon.restart(timeout_s=within) as client:
        assert client.hello["pid"] != first
    assert why in capsys.readouterr().err


@pytest.mark.usefixtures("stopped")
def test_invite_goes_on_where_launchd_does_not_run_the_agent(
    home: Path, launchctl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launchctl.write_text("#!/bin/sh\nexit 125\n")
    (home / "config.toml").write_text('[tmux]\ncommand = "/nonexistent/tmux"\n')
    assert main(["invite", "octocat"]) == 1
    stderr = capsys.readouterr().err
    assert stderr.startswith("starting pairingd\nwarning: nobody is logged in")
    assert "error: /nonexistent/tmux: " in stderr


@pytest.fixture
def systemctl(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Systemd]:
    """Makes `systemctl` that script; the manager of this home's unit."""
    places = {"PAIRING_HOME": str(home)}
    manager = Systemd(Origin(sys.executable, os.getuid(), str(tmp_path), find_paths(), places))
    monkeypatch.setattr(services, "find", lambda: manager)
    script = tmp_path / "bin" / "systemctl"
    script.parent.mkdir()
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")

    def make(does: str) -> Systemd:
        script.write_text(f"#!/bin/sh\n{does}\n")
        script.chmod(0o755)
        return manager

    return make


NO_BUS = "echo 'Failed to connect to bus: No medium found'; exit 1"  # as after su(1)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("does", "stays"), [(NO_BUS, True), (f"case $2 in restart) {NO_BUS} ;; esac", False)]
)
def test_an_install_that_fails_leaves_a_daemon_running(
    does: str,
    stays: bool,
    systemctl: Callable[[str], Systemd],
    capsys: pytest.CaptureFixture[str],
) -> None:
    service = systemctl(does)
    with daemon.start() as client:
        pid = client.hello["pid"]
    assert main(["install", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert "Failed to connect to bus" in error["message"]
    assert error["message"].endswith("; pairingd was started by hand") is not stays
    assert Path(service.file).exists() is not stays
    with connect() as client:
        assert (client.hello["pid"] == pid) is stays


@pytest.mark.usefixtures("stopped")
def test_a_daemon_is_stopped_where_the_service_manager_does_not_answer(
    systemctl: Callable[[str], Systemd], capsys: pytest.CaptureFixture[str]
) -> None:
    service = systemctl(NO_BUS)
    Path(service.file).parent.mkdir(parents=True)
    Path(service.file).write_text(service._render())
    daemon.start().__exit__()
    capsys.readouterr()
    assert main(["stop"]) == 0
    said = capsys.readouterr()
    assert said.out.endswith(" has ended\n")
    assert said.err.startswith("warning: systemctl --user stop pairingd.service: exit code 1: ")
    assert main(["stop"]) == 3
    assert "error: pairingd is not running\nhint: there is nothing to stop" in (
        capsys.readouterr().err
    )


def test_a_failed_start_is_reported_once_if_launchctl_fails_too(
    home: Path, launchctl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launchctl.write_text("#!/bin/sh\nexit 125\n")
    (home / "config.toml").write_text("[door]\nprot = 1\n")
    assert main(["start"]) == 3
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: pairingd could not be started: ")
    assert "prot" in stderr


@pytest.mark.usefixtures("stopped")
def test_a_daemon_that_the_agent_runs_late_is_not_reported_as_started_by_hand(
    launchctl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launchctl.write_text(
        f"#!/bin/sh\ncase $1 in kickstart) {sys.executable} -P -m pairingd --detach ;; esac\n"
    )
    with daemon.start(timeout_s=WAIT_S) as client:
        pid = client.hello["pid"]
    with daemon.start(timeout_s=0.0) as client:
        assert client.hello["pid"] == pid
    assert capsys.readouterr().err == ""
