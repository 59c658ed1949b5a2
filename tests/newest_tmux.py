"""The newest tmux that can be had here, for tests of what must hold with any."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.stage import ROOT


@cache
def newest_tmux() -> Path:
    """Its path. Skips where it cannot be had; with PAIRING_REQUIRE_INDEX set that is a failure."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "newest-tmux")], check=False, capture_output=True, text=True
    )
    if done.returncode == 0:
        return ROOT / ".venv" / "newest-tmux" / "tmux"
    said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    if os.environ.get("PAIRING_REQUIRE_INDEX"):
        pytest.fail(f"Debian's newest tmux cannot be fetched: {said}")
    pytest.skip(f"Debian's newest tmux cannot be fetched: {said}")
