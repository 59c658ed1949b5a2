"""The newest version of a program that can be had here, beside the one of this machine."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parent.parent


class CannotBeFetchedError(Exception):
    """Its text is the reason."""


@cache
def newest(program: Literal["tmux", "ssh"]) -> Path:
    """Its path. Raises CannotBeFetchedError."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "newest"), program], check=False, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CannotBeFetchedError(reason)
    return ROOT / ".venv" / f"newest-{program}" / program
