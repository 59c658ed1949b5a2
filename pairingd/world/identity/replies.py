"""What a forge's answer means if it is no key list, and what its Date says of our clock."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from pairingd.core.durations import format_duration
from pairingd.core.guest import URL_PROVIDERS, Guest
from pairingd.core.model import Problem
from pairingd.errors import IdentityError
from pairingd.world.identity.key_list import ANOTHER_WAY
from pairingd.world.identity.unreachable import host_of

if TYPE_CHECKING:
    import httpx

_MAX_RETRY_AFTER_S = 7 * 86400
CLOCK_TOLERANCE_S = 60


def no_list(guest: Guest, response: httpx.Response) -> IdentityError:
    """The error for any status but 200."""
    status, host = response.status_code, host_of(response.url)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        if guest.provider in URL_PROVIDERS:
            return IdentityError("no-such-user", f"{guest}: nothing is there", "check the URL")
        return IdentityError(
            "no-such-user",
            f"{guest}: {host} has no such user",
            "check the spelling, and on which forge they are: gitlab:NAME, codeberg:NAME, …",
        )
    limited = status == HTTPStatus.FORBIDDEN and (
        "Retry-After" in response.headers or response.headers.get("X-RateLimit-Remaining") == "0"
    )
    seconds = retry_after(response.headers, time.time())
    data = {} if seconds is None else {"retry_after": seconds}
    wait = "a few minutes" if seconds is None else format_duration(seconds)
    later = f"try again in {wait}, {ANOTHER_WAY}"
    if limited or status == HTTPStatus.TOO_MANY_REQUESTS:
        refused = f"{guest}: {host} refuses more requests for now"
        return IdentityError("rate-limited", refused, later, **data)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        failed = f"{guest}: {host} answers {status}"
        return IdentityError("forge-unreachable", failed, later, **data)
    return IdentityError(
        "forge-refused",
        f"{guest}: {host} answers {status}",
        f"its key lists must be readable without login, {ANOTHER_WAY}",
    )


def retry_after(headers: Mapping[str, str], now: float) -> int | None:
    """Whole seconds to wait (RFC 9110 §10.2.3, else GitHub's X-RateLimit-Reset), if sent.

    A time is compared with the forge's own clock, if it sends its Date.
    """
    forge_now = _time(headers.get("Date", "")) or now
    sent, reset = headers.get("Retry-After", ""), headers.get("X-RateLimit-Reset", "")
    if _is_count(sent):
        seconds = float(sent)
    elif (at := _time(sent)) is not None:
        seconds = at - forge_now
    elif _is_count(reset):
        seconds = float(reset) - forge_now
    else:
        return None
    return min(max(round(seconds), 1), _MAX_RETRY_AFTER_S)


def clock_offset(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds by which `now` is ahead of the forge's clock (RFC 9110 §6.6.1), if it sent one.

    An answer out of a cache is as old as its Age says (RFC 9111 §5.1).
    """
    at = _time(headers.get("Date", ""))
    age = headers.get("Age", "")
    return None if at is None else now - at - (float(age) if _is_count(age) else 0.0)


def clock_problem(offset: float | None) -> Problem | None:
    """A deadline is a time of day, so setting the clock moves it."""
    if offset is None or abs(offset) <= CLOCK_TOLERANCE_S:
        return None
    away = format_duration(60 * round(abs(offset) / 60))
    return Problem(
        "clock-wrong",
        f"this machine's clock is {away} {'fast' if offset > 0 else 'slow'}: deadlines follow it",
        "set it by NTP (timedatectl set-ntp true; macOS: General > Date & Time)",
    )


def _time(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _is_count(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,12}", text) is not None
