"""The newest tmux that can be had here, for tests of what must hold with any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.newest import CannotBeFetchedError, newest


def newest_tmux() -> Path:
    """Its path. Skips where it cannot be had; with PAIRING_REQUIRE_INDEX set that is a failure."""
    try:
        return newest("tmux")
    except CannotBeFetchedError as error:
        reason = f"Debian's newest tmux cannot be fetched: {error}"
    if os.environ.get("PAIRING_REQUIRE_INDEX"):
        pytest.fail(reason)
    pytest.skip(reason)
