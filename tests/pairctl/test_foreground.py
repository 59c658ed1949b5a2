"""A program that has the terminal meanwhile."""

from __future__ import annotations

import os

import pytest

from pairctl.tmux import foreground


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -KILL $$", 137)])
def test_the_status_is_the_one_that_a_shell_would_report(script: str, status: int) -> None:
    assert foreground.run(["/bin/sh", "-c", script], os.environ) == status
