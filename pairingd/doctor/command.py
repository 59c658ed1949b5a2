"""Runs a system command with a time limit."""

from __future__ import annotations

from pairingd.process.programs import run

_TIMEOUT_S = 10.0


async def output(*argv: str) -> tuple[int, str] | None:
    """Its exit status and all its output, in English; None if it cannot run or does not end."""
    try:
        done = await run(*argv, seconds=_TIMEOUT_S)
    except (OSError, TimeoutError):
        return None
    return done.status, done.stdout + done.stderr
