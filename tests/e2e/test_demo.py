"""`make demo` as a normal user; tests/test_demo.py has it as whoever runs the tests."""

from __future__ import annotations

import sys

from tests.e2e.network import REPOSITORY, Network
from tests.waiting import WAIT_S


def test_the_demo_works_for_a_normal_user(network: Network) -> None:
    demo = ("env", f"--chdir={REPOSITORY}", sys.executable, "-m", "tests.demo")
    told = network.host.run(*demo, within=4 * WAIT_S)
    assert "runs as root" not in told.stdout
    assert "hello from octocat" in told.stdout
    assert told.stdout.rstrip().endswith("Everything is closed and cleaned up.")
