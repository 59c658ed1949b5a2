"""Work that no deadline waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine

log = logging.getLogger(__name__)


class Aside:
    """Runs coroutines in the background and keeps them until they are done. An error of theirs is
    logged.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[None, None, None], name: str | None = None) -> None:
        """`name` is for `runs`."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def runs(self, name: str) -> bool:
        """Whether work of that name is not done yet."""
        return any(task.get_name() == name for task in self._tasks)

    async def rest(self, limit_s: float | None = None) -> None:
        """Wait until all of it is done. After `limit_s` cancel what is left, and wait for that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("in the background", exc_info=error)
