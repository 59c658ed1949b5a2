from __future__ import annotations

import subprocess

import psutil

from pairingd.world.processes import end_left_over, start_time
from tests.stage import until


def test_what_a_crash_left_behind_is_ended_with_its_children() -> None:
    """Without root, the guest's own sshd is a child of the one that was started."""
    script = "sleep 3600 & sleep 3600 & wait"
    with subprocess.Popen(["sh", "-c", script]) as left:
        family = until(lambda: psutil.Process(left.pid).children(), "its children are there")
        started = start_time(left.pid)
        assert started is not None
        assert end_left_over(left.pid, started)
        left.wait(timeout=10)
        until(lambda: not any(child.is_running() for child in family), "its children are gone")


def test_another_process_with_that_pid_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "3600"]) as stranger:
        started = start_time(stranger.pid)
        assert started is not None
        assert not end_left_over(stranger.pid, started - 5)
        assert stranger.poll() is None
        stranger.kill()
