"""Every command finds the daemon of its home, whatever the runtime directory is or was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from pairingd.process import lock
from tests.stage import Stage, until

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no runtime directory")


class XdgStage(Stage):
    """The host's files where the XDG Base Directory Specification has them. `runtime` is its
    XDG_RUNTIME_DIR, None for unset.
    """

    runtime: Path | None

    def __enter__(self) -> Self:
        super().__enter__()
        self.home = self.path / "pairing"
        self.home.mkdir(mode=0o700)
        self.configure()
        self.runtime = self.logs_in("first")
        return self

    def logs_in(self, name: str) -> Path:
        """A runtime directory, as the first login makes it."""
        self.runtime = self.path / name
        self.runtime.mkdir(mode=0o700)
        return self.runtime

    @property
    def environment(self) -> dict[str, str]:
        environment = super().environment
        del environment["PAIRING_HOME"]
        xdg = {"XDG_CONFIG_HOME": str(self.path), "XDG_STATE_HOME": str(self.path)}
        if self.runtime:
            xdg["XDG_RUNTIME_DIR"] = str(self.runtime)
        return {**environment, **xdg}

    def pid(self) -> int:
        return int(self.asks("status")["daemon"]["pid"])


@pytest.fixture
def stage() -> Iterator[XdgStage]:
    with XdgStage() as stage:
        stage.guest("octocat")
        assert "error" not in stage.asks("invite", "octocat", "--no-copy")
        yield stage


def test_commands_find_the_daemon_from_another_runtime_directory(stage: XdgStage) -> None:
    pid = stage.pid()
    assert stage.runtime
    assert (stage.runtime / "pairing" / "pairingd.sock").exists()
    stage.guest("hubot")
    for elsewhere in (stage.logs_in("second"), None, Path("/nonexistent/run"), Path("relative")):
        stage.runtime = elsewhere
        assert stage.pid() == pid
        assert stage.asks("start") | {"version": ""} == {
            "started": False,
            "pid": pid,
            "version": "",
        }
        assert "error" not in stage.asks("invite", "hubot", "--no-copy")
        assert [one["guest"] for one in stage.asks("revoke", "hubot")["invitations"]]
        assert stage.asks("attach")["error"]["code"] == "no-terminal"
        [found] = [one for one in stage.asks("doctor")["checks"] if one["name"] == "daemon"][:1]
        assert f"pid {pid}" in found["message"]
    assert stage.asks("stop")["pid"] == pid
    assert stage.asks("status")["error"]["code"] == "no-daemon"


def test_after_the_last_logout_daemon_and_session_go_on(stage: XdgStage) -> None:
    pid, server = stage.pid(), stage.tmux("display-message", "-p", "#{pid}")
    first = stage.runtime
    assert first
    for runtime in (first, stage.logs_in("second"), None):
        shutil.rmtree(first)
        stage.runtime = runtime
        assert stage.pid() == pid
        status = stage.asks("status")
        assert status["session"]["running"] is True
        assert [one["state"] for one in status["invitations"]] == ["live"]
    assert stage.tmux("display-message", "-p", "#{pid}") == server
    shutil.rmtree(first)
    assert stage.asks("stop")["pid"] == pid
    assert stage.asks("start")["started"] is True
    assert [one["state"] for one in stage.asks("status")["invitations"]] == ["live"]
    assert stage.tmux("display-message", "-p", "#{pid}") == server


def test_the_socket_is_beside_the_state_if_no_runtime_directory_can_be_created(
    stage: XdgStage,
) -> None:
    assert stage.runtime
    shutil.rmtree(stage.runtime)
    stage.runtime.touch()  # a file: nothing can be made in it
    stage.pid()
    assert stat.S_ISSOCK((stage.home / "pairingd.sock").stat().st_mode)
    stage.asks("restart")
    assert stat.S_ISSOCK((stage.home / "pairingd.sock").stat().st_mode)
    assert stage.asks("status")["session"]["running"] is True


@pytest.mark.parametrize("kind", [Stage, XdgStage])
def test_a_removed_control_socket_is_bound_again(kind: type[Stage]) -> None:
    with kind() as stage:
        pid = stage.asks("start")["pid"]
        runtime = getattr(stage, "runtime", None)
        path = (runtime / "pairing" if runtime else stage.home) / "pairingd.sock"
        follower = stage.terminal(sys.executable, "-m", "pairctl", "log", "--follow")
        stage.guest("octocat")
        for _ in range(2):
            path.unlink()
            assert stage.asks("status")["daemon"]["pid"] == pid
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.unlink()
        assert "error" not in stage.asks("invite", "octocat", "--no-copy")
        follower.shows("octocat invited")  # on a connection through the first socket
        assert stage.asks("stop")["pid"] == pid
        assert not path.exists()


def test_a_daemon_that_does_not_re_create_its_socket_is_reported_with_its_pid(
    stage: XdgStage,
) -> None:
    pid = stage.pid()
    assert stage.runtime
    os.kill(pid, signal.SIGSTOP)
    try:
        (stage.runtime / "pairing" / "pairingd.sock").unlink()
        told = stage.pairctl("status", "--json", check=False)
        assert told.returncode == 3
        error = json.loads(told.stdout)["error"]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert error["code"] == "daemon-unreachable"
    assert f"pid {pid}" in error["message"]
    assert f"kill {pid}" in error["hint"]
    assert stage.pid() == pid


def test_an_older_daemon_is_found_by_its_process_and_gets_no_signal(stage: XdgStage) -> None:
    pid, first = stage.pid(), stage.runtime
    assert first
    (stage.home / "pairingd.lock").write_text(f"{pid}\n")
    stage.logs_in("second")
    assert stage.pid() == pid
    (first / "pairing" / "pairingd.sock").unlink()
    assert stage.asks("status")["error"]["code"] == "daemon-unreachable"
    os.kill(pid, 0)  # SIGUSR1 would have ended an older one
    os.kill(pid, signal.SIGUSR1)
    until(lambda: stage.asks("status").get("daemon"), "it is found where it is bound again")


# A daemon that is looked for as soon as it has its log.
LOOKED_FOR = """
import contextlib
from pairctl.control import rendezvous
from pairingd import __main__, wiring
from pairingd.home.paths import find_paths
set_up = wiring.logs.set_up
def looked_for(*given):
    set_up(*given)
    with contextlib.suppress(rendezvous.Silent):
        rendezvous.meet(find_paths(), 0.0)
wiring.logs.set_up = looked_for
raise SystemExit(__main__.main())
"""


def test_the_pid_of_a_daemon_that_was_killed_gets_no_signal_while_another_starts() -> None:
    with Stage() as stage, subprocess.Popen(["sleep", "3600"]) as innocent:
        (stage.home / "pairingd.lock").write_text(f"{innocent.pid}\n\n\n")
        daemon = stage.daemon(program=("-c", LOOKED_FOR))
        assert stage.asks("status")["daemon"]["pid"] == daemon.pid
        innocent.kill()
        assert innocent.wait() == -signal.SIGKILL


def test_a_session_of_an_older_version_in_the_runtime_directory_is_kept() -> None:
    with XdgStage() as stage:
        stage.guest("octocat")
        assert stage.runtime
        socket = stage.runtime / "pairing" / "tmux.sock"
        socket.parent.mkdir(mode=0o700)
        tmux = ("tmux", "-S", str(socket))
        stage.run(*tmux, "-f", "/dev/null", "new-session", "-d", "-s", "pairing")
        server = stage.run(*tmux, "display-message", "-p", "#{pid}").stdout
        assert "error" not in stage.asks("invite", "octocat", "--no-copy")
        for runtime in (stage.runtime, None):
            stage.runtime = runtime
            assert stage.asks("status")["session"]["socket"] == str(socket)
            stage.asks("restart")
        assert stage.asks("status")["session"]["running"] is True
        assert stage.run(*tmux, "display-message", "-p", "#{pid}").stdout == server
        stage.run(*tmux, "kill-server")
        stage.asks("restart")
        assert "error" not in stage.asks("invite", "octocat", "--no-copy")
        assert stage.asks("status")["session"]["socket"] == str(stage.home / "tmux.sock")


def test_the_lock_file_has_the_pid_and_the_sockets_that_are_elsewhere(stage: XdgStage) -> None:
    signature = lock.read(str(stage.home / "pairingd.lock"))
    assert signature == (
        str(stage.pid()),
        str(stage.path / "first" / "pairing" / "pairingd.sock"),
        "",
        True,
    )
    with Stage() as other:
        pid = other.asks("start")["pid"]
        assert int((other.home / "pairingd.lock").read_text()) == pid
