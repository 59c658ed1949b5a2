"""Slow work of a lane that others may interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Interruptible:
    """Runs one piece of work at a time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it until it is done or `stop` is called. Raises what it raises."""
        self._task = task = asyncio.create_task(work)
        try:
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
        finally:
            task.cancel()
            self._task = None

    def stop(self) -> None:
        """Cancel the work that runs, if any."""
        if self._task:
            self._task.cancel()
