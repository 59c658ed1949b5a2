"""Durations as people type them: `45s`, `90m`, `2h`, `1h30m`, `1d`; and the protocol's times."""

from __future__ import annotations

import re
from time import gmtime
from typing import TYPE_CHECKING

from pairingd.core.refusal import Refused
from pairingd.core.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

_UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_MAX_DIGITS = 9  # of each number
_UTC_TIME = re.compile(  # as `utc` formats it, and not in a name or what a user has typed
    r"(?<![^\s(])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?![^\s,;:)])", re.ASCII
)
HINT = "write a duration as 45s, 90m, 2h, 1h30m or 1d"


def parse_duration(text: str) -> int:
    """Return seconds, more than zero. Raises Refused `bad-duration`."""
    match = _DURATION.fullmatch(text)
    if not text or not match:
        raise Refused("bad-duration", f"not a duration: {quoted(text)}", HINT)
    if any(len(count or "") > _MAX_DIGITS for count in match.groups()):
        raise Refused(
            "bad-duration",
            f"a number is too long in this duration: {quoted(text)}",
            f"write no number of more than {_MAX_DIGITS} digits",
        )
    seconds = sum(
        int(count or 0) * unit
        for count, unit in zip(match.groups(), _UNIT_SECONDS.values(), strict=True)
    )
    if seconds == 0:
        raise Refused("bad-duration", f"a duration must be more than zero: {quoted(text)}", HINT)
    return seconds


def format_duration(seconds: float) -> str:
    """Return the shortest form of whole seconds: 5400 is `1h30m`. Zero or less is `0s`."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in _UNIT_SECONDS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def require_ahead(at: float, now: float) -> None:
    """Raise Refused `time-past` unless an invitation can still open `at` that time."""
    if at <= now:
        raise Refused("time-past", f"{utc(at)} has passed", "leave --at out to invite now")


def utc(at: float) -> str:
    """Format a time as RFC 3339 in UTC, in whole seconds."""
    return "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z".format(*gmtime(at)[:6])


def with_times(text: str, shown: Callable[[str], str]) -> str:
    """Return `text` with each time that `utc` has formatted as `shown` has it."""

    def show(match: re.Match[str]) -> str:
        try:
            return shown(match[0])
        except (ValueError, OverflowError):  # no time: a guest's name may hold anything
            return match[0]

    return _UTC_TIME.sub(show, text)
