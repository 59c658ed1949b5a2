"""The signals that stop the daemon. From its first moment on, none ends it before it has closed
what it has opened.

Standard library only, and little of it: this is imported before anything else.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import FrameType

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """Catches them once it is made; `caught` is the last one. Not KeyboardInterrupt, which could
    come at any instruction.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        for number in _NUMBERS:
            signal.signal(number, self._note)

    def release(self) -> None:
        """Let them end this process, one that was caught too: it has nothing to close."""
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_DFL)
        if self.caught is not None:
            signal.raise_signal(self.caught)

    def hand_over(self, loop: AbstractEventLoop, stop: Callable[[], object]) -> None:
        """From now on `loop` calls `stop` for each; at once if one was caught."""
        for number in _NUMBERS:
            loop.add_signal_handler(number, stop)
        if self.caught is not None:
            stop()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.caught = number
