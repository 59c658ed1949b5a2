"""What a guest's key leads to, join.sh, where the shared session's client ends at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from pairingd.core.model import Access
from tests.core.make import START
from tests.pairctl.terminal import Terminal
from tests.stage import until
from tests.waiting import has_ended

JOIN = Path(__file__).parent.parent / "pairingd" / "world" / "forced_command" / "join.sh"
CLIENT = """#!/bin/sh
case "$*" in *attach-session*) echo $$ >{}; echo attached ;; esac
"""
# /dev/null is a FIFO: the shell waits at its next redirection until somebody opens the other end.
SLOWLY = 'mount --bind "$1" /dev/null && shift && exec "$@"'


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a mount namespace needs root on Linux"
)
def test_a_client_that_has_ended_before_the_shell_waits_for_it_has_its_own_exit_status(
    tmp_path: Path,
) -> None:
    client, pid, null = (tmp_path / name for name in ("tmux", "pid", "null"))
    client.write_text(CLIENT.format(pid))
    client.chmod(0o700)
    os.mkfifo(null)
    (tmp_path / f"mark.{Access.WRITE.value}.{int(START)}").touch()
    join = (str(JOIN), str(tmp_path / "mark"), "plain", sys.executable, str(client), "sock", "=s")
    argv = ["unshare", "-m", "sh", "-c", SLOWLY, "sh", str(null), "/bin/sh", *join]
    with Terminal(argv, {"SSH_TTY": "/dev/pts/0", "TERM": ""}) as terminal:
        terminal.wait_for(b"attached")
        process = psutil.Process(int(pid.read_text()))
        until(lambda: has_ended(process), "the client has ended")
        both_ends = os.open(null, os.O_RDWR)
        try:
            assert terminal.wait() == 0
        finally:
            os.close(both_ends)
    assert b"Done" not in terminal.seen
