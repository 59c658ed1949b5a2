"""A short program, run to its end and not waited for too long. Argument lists only, no shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from dataclasses import dataclass

_LONGEST = 1 << 20  # bytes kept of what it says


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended: exit status, standard output and standard error, as text."""

    status: int
    said: str
    complaint: str

    @property
    def last_words(self) -> str:
        """For a message: the last line of its complaint, or else of its output, made printable."""
        lines = [line.strip() for line in (self.complaint or self.said).splitlines()]
        line = next((line for line in reversed(lines) if line), "no reason given")
        return "".join(c if c.isprintable() else "?" for c in line)[:200]


async def run(*argv: str, seconds: float) -> Finished:
    """Raises OSError where it cannot be started, TimeoutError where it does not end in time.

    It speaks English (LC_ALL=C), and is gone when this returns, raises or is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        async with asyncio.timeout(seconds):
            said, complaint = await process.communicate()
    finally:
        await end(process)
    return Finished(process.returncode or 0, _text(said), _text(complaint))


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill it if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _text(said: bytes) -> str:
    return said[:_LONGEST].decode(errors="replace")
