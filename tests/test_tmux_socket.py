"""tmux's socket is removed while its server runs: the work in the session lives on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pairingd.process import listeners
from tests.session import own_stage_of_each_tmux
from tests.stage import Stage, until
from tests.waiting import WAIT_S

stage = own_stage_of_each_tmux


def remove_socket(stage: Stage) -> str:
    """The pid of the server that has lost it."""
    pid = stage.tmux("display-message", "-p", "#{pid}")
    (stage.home / "tmux.sock").unlink()
    return pid


def test_a_removed_tmux_socket_comes_back_with_the_same_session(stage: Stage) -> None:
    guest = stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    screen = guest.joins()
    screen.types("echo wr''itten")
    screen.shows("written")
    server = remove_socket(stage)
    status = stage.asks("status")
    assert status["session"]["running"] is True
    assert [one["state"] for one in status["invitations"]] == ["live"]
    assert stage.tmux("display-message", "-p", "#{pid}") == server
    screen.types("echo st''ill here")
    screen.shows("still here")


def test_an_invitation_makes_no_second_session_beside_one_without_its_socket(
    stage: Stage,
) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.tmux("send-keys", "-t", "=pairing:", "WORK=precious", "Enter")
    stage.pairctl("end")
    stage.pairctl("stop")  # who looks next remembers nothing
    server = remove_socket(stage)
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    assert stage.tmux("display-message", "-p", "#{pid}") == server
    assert "precious" in stage.tmux("capture-pane", "-p", "-t", "=pairing:")


def test_a_server_that_waits_for_the_watch_of_a_killed_daemon_keeps_no_session_from_being_made(
    stage: Stage,
) -> None:
    stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy")
    stage.pairctl("end")
    server = psutil.Process(int(stage.tmux("display-message", "-p", "#{pid}")))
    socket = str(stage.home / "tmux.sock")
    attach = ("-C", "attach-session", "-E", "-f", "no-output", "-t", "pairing")
    # What the daemon's Observer runs, while tmux has more to say than a pipe holds, and nobody reads.
    watch = subprocess.Popen(
        [stage.tmux_command, "-N", "-u", "-S", socket, *attach],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=stage.environment,
    )
    assert watch.stdin
    assert watch.stdout
    watch.stdin.write(b"list-keys\n" * 40)
    watch.stdin.flush()
    watch.stdout.readline()
    until(lambda: stage.tmux("list-clients"), "it is attached")
    for end in (watch.stdout, watch.stdin):
        end.close()
    stage.tmux("kill-server")
    assert server.is_running()  # else nothing is shown here
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    watch.wait(WAIT_S)
    server.wait(WAIT_S)


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("setpriv"), reason="needs Linux and setpriv"
)
def test_the_watch_of_a_killed_daemon_ends_though_nobody_reads_what_tmux_says(stage: Stage) -> None:
    stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy")
    pid = stage.asks("status")["daemon"]["pid"]
    (watch,) = (child for child in psutil.Process(pid).children() if "-C" in child.cmdline())
    os.kill(pid, signal.SIGSTOP)
    more_than_a_pipe_holds = 2000
    for name in range(0, more_than_a_pipe_holds, 100):
        renames = [("rename-window", f"{name + n}-{'x' * 60}", ";") for n in range(100)]
        stage.tmux(*(word for rename in renames for word in rename))
    os.kill(pid, signal.SIGKILL)
    until(lambda: not watch.is_running() or watch.status() == "zombie", "the watch has ended")
    assert stage.tmux("list-clients") == ""


@pytest.mark.waits
def test_if_the_server_does_not_re_create_its_socket_the_hint_has_the_command(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.pairctl("end")
    server = remove_socket(stage)
    os.kill(int(server), signal.SIGSTOP)
    try:
        error = stage.asks("invite", "octocat", "--no-copy")["error"]
    finally:
        os.kill(int(server), signal.SIGCONT)
    assert error["code"] == "tmux-socket-gone"
    assert f"pid {server}" in error["message"]
    assert error["hint"].startswith(f"kill -USR1 {server}")
    until((stage.home / "tmux.sock").exists, "it was asked, and makes it once it can")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    assert stage.tmux("display-message", "-p", "#{pid}") == server


def test_only_a_server_bound_to_that_very_path_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stage.home / "tmux.sock"
    assert listeners.tmux_server(str(path)) is None
    stage.run(stage.tmux_command, "-S", str(path), "new-session", "-d")
    server = int(stage.tmux("display-message", "-p", "#{pid}"))
    assert listeners.tmux_server(str(path)) == server
    assert listeners.tmux_server(str(path.with_name("tmux.soc"))) is None
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert listeners.tmux_server(str(path)) is None


def test_a_server_that_ends_while_it_is_asked_is_no_failure(tmp_path: Path) -> None:
    gone = psutil.Popen(["true"])
    gone.wait()
    listeners.ask_to_rebind(gone.pid)
    assert not (tmp_path / "tmux.sock").exists()
