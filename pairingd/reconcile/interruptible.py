"""Something slow that a lane does, and that another may cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Interruptible:
    """One at a time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def run(self, doing: Coroutine[Any, Any, None]) -> None:
        """Until it is done, or `stop` is called. Raises what it raises."""
        self._task = task = asyncio.create_task(doing)
        try:
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
        finally:
            task.cancel()
            self._task = None

    def stop(self) -> None:
        """Where something runs."""
        if self._task:
            self._task.cancel()
