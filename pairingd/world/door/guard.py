"""The daemon's side of the guardian: one process outside the event loop, while somebody is in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

log = logging.getLogger(__name__)

BEHIND_S = 0.5  # the guardian acts this much after the daemon should have
_LINGER_S = 5.0  # with nobody connected, before it goes
_PROGRAM = Path(__file__).with_name("guardian.py")


class Guard:
    """Keeps a guardian at hand, and told. One that dies is replaced by one that knows as much."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: int | None = None
        self._deadlines: dict[int, float] = {}  # by process group, on the event loop's clock
        self._following: asyncio.Task[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None

    async def pipe(self) -> int:
        """A descriptor for `Guard.line`. Raises OSError where there can be no guardian: then there
        must be no connection either.
        """
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None
        if self._pipe is None:
            await self._start()
        assert self._pipe is not None  # noqa: S101 - _start made it
        return self._pipe

    @staticmethod
    def line(group: int | str, seconds: float) -> str:
        """What the guardian is to read of a process group that may live for so long."""
        return f"guard {group} {seconds + BEHIND_S:.3f}"

    def hold(self, group: int, seconds: float) -> None:
        """It must be over in `seconds`, whatever becomes of the daemon."""
        deadline = asyncio.get_running_loop().time() + seconds
        if abs(self._deadlines.get(group, 0.0) - deadline) > BEHIND_S:
            self._deadlines[group] = deadline
            self._write(self.line(group, seconds))

    def release(self, group: int) -> None:
        """It is gone."""
        self._deadlines.pop(group, None)
        self._write(f"release {group}")
        if not self._deadlines and self._pipe is not None and not self._leaving:
            self._leaving = asyncio.get_running_loop().call_later(_LINGER_S, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        if self._pipe is not None and not self._deadlines:
            os.close(self._pipe)
            self._pipe = None

    async def _start(self) -> None:
        theirs, ours = os.pipe()
        os.set_blocking(ours, False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_PROGRAM)),
                stdin=theirs,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._pipe = ours
        now = asyncio.get_running_loop().time()
        for group, deadline in self._deadlines.items():
            self._write(self.line(group, max(deadline - now, 0.0)))
        self._following = asyncio.create_task(self._follow(self._process, ours))

    async def _follow(self, process: asyncio.subprocess.Process, pipe: int) -> None:
        await process.wait()
        if self._pipe != pipe:
            return  # it was let go
        log.warning("the guardian of the connections ended; another one takes over")
        os.close(pipe)
        self._pipe = None
        if self._deadlines:
            with contextlib.suppress(OSError):  # then there is none until the next connection
                await self._start()

    def _write(self, line: str) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, f"{line}\n".encode())
        except OSError:  # gone, or it does not read: `_follow` replaces it
            if self._process and self._process.returncode is None:
                self._process.kill()
