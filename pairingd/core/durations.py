"""Durations as people type them: `45s`, `90m`, `2h`, `1h30m`, `1d`; and times of the protocol."""

from __future__ import annotations

import re
from time import gmtime, strftime

from pairingd.core.refusal import Refused
from pairingd.core.text import quoted

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_FORM = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
HINT = "write a duration as 45s, 90m, 2h, 1h30m or 1d"


def parse_duration(text: str) -> int:
    """Seconds, more than zero. Refused `bad-duration` otherwise."""
    found = _FORM.fullmatch(text)
    if not text or not found:
        raise Refused("bad-duration", f"not a duration: {quoted(text)}", HINT)
    seconds = sum(
        int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS.values(), strict=True)
    )
    if seconds == 0:
        raise Refused("bad-duration", f"a duration must be more than zero: {quoted(text)}", HINT)
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest form of whole seconds: 5400 is `1h30m`. Zero or less is `0s`."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def utc(at: float) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))
