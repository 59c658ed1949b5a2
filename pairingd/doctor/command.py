"""A system command, asked and not waited for too long."""

from __future__ import annotations

from pairingd.process.programs import run

_SECONDS = 10.0


async def output(*argv: str) -> tuple[int, str] | None:
    """Its exit status and all it said, in English; None where it cannot be run or does not end."""
    try:
        done = await run(*argv, seconds=_SECONDS)
    except (OSError, TimeoutError):
        return None
    return done.status, done.stdout + done.stderr
