"""Times in the host's time zone, for the terminals in the session."""

from __future__ import annotations

import time
from datetime import datetime

from pairingd.core.durations import with_times

_HALF_A_DAY_S = 12 * 3600


def clock_time(at: float, now: float) -> str:
    """`at` in the host's time zone; with the date if it is half a day away or more. A terminal of
    80 columns has room for little more than the time.
    """
    form = "%H:%M" if abs(at - now) < _HALF_A_DAY_S else "%Y-%m-%d %H:%M"
    return time.strftime(form, time.localtime(at))


def localized(text: str, now: float) -> str:
    """`text` with each time that `utc` has formatted as `clock_time` has it."""
    return with_times(text, lambda at: clock_time(datetime.fromisoformat(at).timestamp(), now))
