"""Wall-clock time for deadlines. Setting the clock back does not extend them within one process.

Deadlines are wall-clock (core/model.py). If the clock is set back while a guest is connected, a
clock that runs during sleep gives the elapsed time. A daemon that starts believes the wall clock,
unless it is behind the latest time seen (live.py). sshd's `expiry-time` always believes it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def awake_or_asleep() -> float:
    """Return the seconds of a steady clock that runs while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # clock_gettime(3) of macOS: counts sleep


class Clock:
    """A call returns seconds since the epoch: the wall clock, or later if that was set back since
    the last `trust`.
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
        """Accept the wall clock as it is now. Safe only while no guest is connected."""
        self._known = self._wall() - self._steady()
