"""`make demo` tells the truth, as whoever runs the tests; tests/e2e has it as a normal user."""

from __future__ import annotations

import subprocess
import sys

from tests.stage import ROOT
from tests.waiting import WAIT_S


def test_the_demo_shows_a_whole_session_and_leaves_nothing() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * WAIT_S,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    shown = [line.rpartition(": ")[2] for line in told.stdout.splitlines() if "$ nc -z" in line]
    assert shown == ["closed", "open", "closed"]
    assert "hello from octocat" in told.stdout
    assert "the time is up" in told.stdout
