"""Times in the local time zone, for people. The protocol's times are RFC 3339, UTC."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time

from pairctl.failures import Usage
from pairingd.core.durations import format_duration, utc, with_times
from pairingd.core.text import quoted

_HOUR = 3600
_CLOCK = re.compile(
    r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?)?"
    r"\s?(?:(?P<half>[ap])m)?"
)


def seconds(moment: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(moment).timestamp()


def clock(moment: str, now: float, form: str = "%H:%M") -> str:
    """In local time; with the date if it is not today."""
    local = time.localtime(seconds(moment))
    if local[:3] != time.localtime(now)[:3]:
        form = f"%Y-%m-%d {form}"
    return time.strftime(form, local)


def localized(text: str, now: float) -> str:
    """`text` with each of the daemon's UTC times as `clock` has it."""
    return with_times(
        text, lambda at: clock(at, now, "%H:%M" if at.endswith(":00Z") else "%H:%M:%S")
    )


def span(duration: float) -> str:
    """A duration, without its seconds from one hour up."""
    return format_duration(duration - duration % 60 if duration >= _HOUR else int(duration))


def parse_moment(text: str, now: datetime) -> str:
    """RFC 3339 in UTC, from RFC 3339 or the next local HH:MM. Raises Usage `bad-time` otherwise.

    `now` is local time without a zone, because HH:MM is a wall clock's, whatever the offset then.
    So is a date and time without a zone.
    """
    try:
        if match := _CLOCK.fullmatch(text.strip().lower().replace(".m", "m").rstrip(".")):
            moment = _next(_time_of_day(match), now)
        elif ":" in text:
            moment = datetime.fromisoformat(text.strip().upper())  # `t` and `z`: RFC 3339 §5.6
        else:
            raise ValueError  # noqa: TRY301 - one refusal for all that is no time
        at = moment.timestamp()
        datetime.fromtimestamp(at, UTC)  # raises ValueError where the year has not four digits
        return utc(at)
    except (ValueError, OverflowError):
        raise Usage(
            "bad-time",
            f"not a time: {quoted(text)}",
            "write 18:30, 6pm, or 2026-01-31T18:30:00+01:00",
        ) from None


def _next(at: clock_time, now: datetime) -> datetime:
    """The first time after `now` at which the clock shows it; an hour may come twice (PEP 495)."""
    today = datetime.combine(now.date(), at)
    again = today.replace(fold=1)
    if today > now and today.timestamp() > now.timestamp():
        return today
    return again if again.timestamp() > now.timestamp() else today + timedelta(days=1)


def _time_of_day(match: re.Match[str]) -> clock_time:
    hour, half = int(match["hour"]), match["half"]
    if half and not 1 <= hour <= 12:
        raise ValueError
    if half:
        hour = hour % 12 + 12 * (half == "p")
    elif not match["minute"]:
        raise ValueError
    return clock_time(hour, int(match["minute"] or 0), int(match["second"] or 0))
