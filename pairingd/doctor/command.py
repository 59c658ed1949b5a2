"""A system command, asked and not waited for too long."""

from __future__ import annotations

import asyncio
import os
import subprocess

_SECONDS = 5.0
_LONGEST = 1 << 20


async def output(*argv: str) -> tuple[int, str] | None:
    """Its exit status and all it said, in English; None where it cannot be run or does not end."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        await gone(process)
    return process.returncode or 0, said[:_LONGEST].decode(errors="replace")


async def gone(process: asyncio.subprocess.Process) -> None:
    """End it if it still runs."""
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            return
        await process.wait()
