from __future__ import annotations

import contextlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.durations import (
    format_duration,
    parse_duration,
    require_ahead,
    utc,
    with_times,
)
from pairingd.core.refusal import Refused


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("1d", 86400), ("1d2h3m4s", 93784)],
)
def test_durations_are_written_as_people_say_them(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


def test_only_a_time_that_has_passed_is_refused() -> None:
    require_ahead(1001, 1000.5)
    for at in (0, 1000):
        with pytest.raises(Refused, match="has passed"):
            require_ahead(at, 1000)


@pytest.mark.parametrize(
    "text", ["", "0s", "0h0m", "2", "-2h", "+2h", "2 h", "h", "30m1h", "1.5h", "2H", "٢h", "2h\n"]
)
def test_an_invalid_duration_is_refused_with_the_allowed_form(text: str) -> None:
    with pytest.raises(Refused, match="duration") as caught:
        parse_duration(text)
    assert caught.value.code == "bad-duration"
    assert "1h30m" in caught.value.hint


@pytest.mark.parametrize("text", ["9999999999d", "1h99999999999999999999m", "9" * 5000 + "s"])
def test_a_duration_of_too_many_digits_is_too_long(text: str) -> None:
    with pytest.raises(Refused, match="a number is too long") as caught:
        parse_duration(text)
    assert caught.value.code == "bad-duration"


@given(st.integers(1, 10**8))
def test_a_formatted_duration_parses_back_to_the_same_seconds(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        assert parse_duration(text) > 0


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1773499205.9, "2026-03-14T14:40:05Z"),
        (1e9, "2001-09-09T01:46:40Z"),
        (-30641760000, "0999-01-01T00:00:00Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_written_in_utc_and_whole_seconds(at: float, text: str) -> None:
    assert utc(at) == text


def test_times_in_a_text_are_shown_as_wanted_and_what_is_none_stays() -> None:
    at = utc(1_700_000_000)
    text = f"from {at} on, 2023-99-14T22:13:20Z, 2023-11-14, file:/{at}.pub, '{at}', {at}x, {at}"
    shown = with_times(text, lambda at: datetime.fromisoformat(at).strftime("%H.%M"))
    rest = f"2023-99-14T22:13:20Z, 2023-11-14, file:/{at}.pub, '{at}', {at}x, 22.13"
    assert shown == f"from 22.13 on, {rest}"
