"""What a guest's key leads to, join.sh, where the shared session's client ends at once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from pairingd.core.model import Access
from tests.core.make import START
from tests.pairctl.terminal import Terminal
from tests.stage import until
from tests.waiting import has_ended

ENVIRONMENT = {"SSH_TTY": "/dev/pts/0", "TERM": ""}
JOIN = Path(__file__).parent.parent / "pairingd" / "world" / "forced_command" / "join.sh"
CLIENT = """#!/bin/sh
case "$*" in *attach-session*) echo $$ >{}; echo attached ;; esac
"""
SUSPENDED = """#!/bin/sh
case "$*" in *attach-session*) echo $$ >{}; kill -STOP $$; echo goes on; exec sleep 3600 ;; esac
"""
# /dev/null is a FIFO: the shell waits at its next redirection until somebody opens the other end.
SLOWLY = 'mount --bind "$1" /dev/null && shift && exec "$@"'


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a mount namespace needs root on Linux"
)
def test_a_client_that_has_ended_before_the_shell_waits_for_it_has_its_own_exit_status(
    tmp_path: Path,
) -> None:
    pid, null = tmp_path / "pid", tmp_path / "null"
    os.mkfifo(null)
    argv = [
        "unshare",
        "-m",
        "sh",
        "-c",
        SLOWLY,
        "sh",
        str(null),
        "/bin/sh",
        *joining(tmp_path, CLIENT),
    ]
    with Terminal(argv, ENVIRONMENT) as terminal:
        terminal.wait_for(b"attached")
        process = psutil.Process(int(pid.read_text()))
        until(lambda: has_ended(process), "the client has ended")
        both_ends = os.open(null, os.O_RDWR)
        try:
            assert terminal.wait() == 0
        finally:
            os.close(both_ends)
    assert b"Done" not in terminal.seen


@pytest.mark.parametrize("shell", ["/bin/sh", "bash"])
def test_a_client_that_was_suspended_goes_on_and_the_shell_waits_for_it(
    tmp_path: Path, shell: str
) -> None:
    """dash takes a job that has stopped for stopped until `bg`, and would wait no more."""
    with Terminal([shell, *joining(tmp_path, SUSPENDED)], ENVIRONMENT) as terminal:
        terminal.wait_for(b"goes on")
        client = psutil.Process(int((tmp_path / "pid").read_text()))
        join = client.parent()
        assert join
        until(lambda: join.status() == psutil.STATUS_SLEEPING, "join.sh waits")
        client.terminate()
        assert terminal.wait() == 128 + signal.SIGTERM


def joining(directory: Path, client: str) -> list[str]:
    """The words of join.sh for a write guest whose tmux is the script `client`."""
    tmux, mark = directory / "tmux", directory / "mark"
    tmux.write_text(client.format(directory / "pid"))
    tmux.chmod(0o700)
    (directory / f"{mark.name}.{Access.WRITE.value}.{int(START)}").touch()
    return [str(JOIN), str(mark), "plain", sys.executable, str(tmux), "sock", "=s"]
