from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from pairingd.process.left_over import boot, end_left_over, start_time
from tests.stage import until
from tests.waiting import WAIT_S


def test_a_process_that_a_crash_left_behind_is_ended_with_its_children() -> None:
    """Without root, the guest's own sshd is a child of the one that was started."""
    script = "sleep 3600 & sleep 3600 & wait"
    with subprocess.Popen(["sh", "-c", script]) as left:
        family = until(lambda: psutil.Process(left.pid).children(), "its children are there")
        started = start_time(left.pid)
        assert started is not None
        assert end_left_over(left.pid, started)
        left.wait(timeout=WAIT_S)
        until(lambda: not any(child.is_running() for child in family), "its children are gone")


def test_another_process_with_that_pid_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "3600"]) as stranger:
        started = start_time(stranger.pid)
        assert started is not None
        assert not end_left_over(stranger.pid, started - 5)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.skipif(not boot(), reason="start times do not count from boot here")
def test_a_process_that_nobody_has_waited_for_is_not_left_over() -> None:
    with subprocess.Popen(["sleep", "3600"]) as ended:
        started = start_time(ended.pid)
        assert started is not None
        ended.kill()
        until(lambda: psutil.Process(ended.pid).status() == "zombie", "it is a zombie")
        assert not end_left_over(ended.pid, started, boot())


@pytest.mark.skipif(not boot(), reason="start times do not count from boot here")
def test_a_process_is_known_again_after_the_wall_clock_was_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with subprocess.Popen(["sleep", "3600"]) as left:
        started = start_time(left.pid)
        assert started is not None
        # What the wall clock makes of a start time comes from psutil.
        monkeypatch.setattr("psutil.boot_time", lambda: 0.0)
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 0.0)
        assert end_left_over(left.pid, started, boot())
        left.wait(timeout=WAIT_S)


@pytest.mark.skipif(not boot(), reason="start times do not count from boot here")
@pytest.mark.parametrize("off", [0.02, -0.02, 0.5, -0.5])
def test_a_pid_reused_within_a_second_is_another_process(off: float) -> None:
    with subprocess.Popen(["sleep", "3600"]) as stranger:
        started = start_time(stranger.pid)
        assert started is not None
        assert not end_left_over(stranger.pid, started + off, boot())
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.skipif(not boot(), reason="start times do not count from boot here")
def test_a_process_of_an_earlier_boot_is_another_process() -> None:
    with subprocess.Popen(["sleep", "3600"]) as stranger:
        started = start_time(stranger.pid)
        assert started is not None
        assert not end_left_over(stranger.pid, started, "8d3c7a1e-0000-4000-8000-000000000000")
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize(("age", "ends"), [(0.0, True), (-3600.0, False)])
def test_a_journal_entry_of_schema_1_is_compared_by_the_wall_clock(age: float, ends: bool) -> None:
    with subprocess.Popen(["sleep", "3600"]) as left:
        started = psutil.Process(left.pid).create_time()
        assert end_left_over(left.pid, started + age, "") is ends
        left.kill()


def test_a_start_time_is_read_whatever_the_program_is_called(tmp_path: Path) -> None:
    program = tmp_path / ") 1 2 (x"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "3600"]) as odd, subprocess.Popen(["sleep", "3600"]) as plain:
        first, second = start_time(odd.pid), start_time(plain.pid)
        assert first is not None
        assert second is not None
        assert 0 <= second - first < 60
        odd.kill()
        plain.kill()


def test_no_process_has_no_start_time() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert start_time(gone.pid) is None
    assert not end_left_over(gone.pid, 1.0)
