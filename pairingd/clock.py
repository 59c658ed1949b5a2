"""Wall-clock time for deadlines, that setting the clock back does not stretch within one process.

Deadlines are wall-clock (core/model.py). Should the clock be set back while a guest is in, the
time that has really passed counts, by a clock that goes on during sleep. A daemon that starts
believes the wall clock, unless it is behind what was seen before (live.py); sshd's `expiry-time`
always does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def awake_or_asleep() -> float:
    """Seconds of a steady clock that goes on while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # clock_gettime(3) of macOS: counts sleep


class Clock:
    """Called, it tells seconds since the epoch: the wall clock's, or later where that has gone
    back since the last `trust`.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = awake_or_asleep,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._known = wall() - steady()

    def __call__(self) -> float:
        steady = self._steady()
        self._known = max(self._known, self._wall() - steady)
        return steady + self._known

    def trust(self) -> None:
        """The wall clock is right as it is now: nobody is in whose deadline it would move."""
        self._known = self._wall() - self._steady()
