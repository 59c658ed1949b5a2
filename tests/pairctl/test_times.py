from __future__ import annotations

from datetime import datetime

import pytest

from pairctl.failures import Usage
from pairctl.text import output
from pairctl.text.times import clock, localized, parse_moment, span
from pairingd.core.refusal import PairingError
from tests.pairctl import samples

pytestmark = pytest.mark.usefixtures("berlin")

# The night after, Berlin's clocks go to summer time.
NOON = datetime(2026, 3, 28, 12, 0)  # noqa: DTZ001 - local, as parse_moment wants it


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("18:30", "2026-03-28T17:30:00Z"),
        ("12:00", "2026-03-29T10:00:00Z"),  # not now: the next one, an hour nearer
        ("09:05", "2026-03-29T07:05:00Z"),
        ("2026-03-28T18:30:00+05:30", "2026-03-28T13:00:00Z"),
        ("2026-03-28T18:30:00Z", "2026-03-28T18:30:00Z"),
        ("2026-03-28t18:30:00z", "2026-03-28T18:30:00Z"),
        ("2026-03-28t18:30:00+05:30", "2026-03-28T13:00:00Z"),
        ("6pm", "2026-03-28T17:00:00Z"),
        ("6:30pm", "2026-03-28T17:30:00Z"),
        ("6:30 PM", "2026-03-28T17:30:00Z"),
        ("6 p.m.", "2026-03-28T17:00:00Z"),
        ("12am", "2026-03-28T23:00:00Z"),
        ("12pm", "2026-03-29T10:00:00Z"),
        ("9am", "2026-03-29T07:00:00Z"),
        ("9:05", "2026-03-29T07:05:00Z"),
        ("18:30:15", "2026-03-28T17:30:15Z"),
        ("2026-03-28T18:30:00", "2026-03-28T17:30:00Z"),
        ("2026-03-28 18:30", "2026-03-28T17:30:00Z"),
        ("2026-03-29 18:30", "2026-03-29T16:30:00Z"),
        ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),  # an hour that is left out: 03:30
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00Z"),
        ("2026-03-28T18:30:00.9Z", "2026-03-28T18:30:00Z"),
    ],
)
def test_a_moment_is_rfc_3339_or_the_next_local_clock_time(text: str, moment: str) -> None:
    assert parse_moment(text, NOON) == moment


# In the night to 2026-10-25 Berlin's clocks show 02:00 to 03:00 twice; `fold` is the second time.
@pytest.mark.parametrize(
    ("now", "fold", "text", "moment"),
    [
        ("2026-10-25T01:59", 0, "02:30", "2026-10-25T00:30:00Z"),
        ("2026-10-25T02:40", 0, "02:50", "2026-10-25T00:50:00Z"),
        ("2026-10-25T02:40", 0, "02:30", "2026-10-25T01:30:00Z"),
        ("2026-10-25T02:10", 1, "02:30", "2026-10-25T01:30:00Z"),
        ("2026-10-25T02:40", 1, "02:30", "2026-10-26T01:30:00Z"),
        ("2026-10-25T02:40", 1, "03:00", "2026-10-25T02:00:00Z"),
        # The hour that is left out begins where it ends.
        ("2026-03-29T01:00", 0, "02:30", "2026-03-29T01:30:00Z"),
        ("2026-03-29T03:10", 0, "02:30", "2026-03-30T00:30:00Z"),
    ],
)
def test_a_clock_time_is_the_next_one_also_when_the_clocks_change(
    now: str, fold: int, text: str, moment: str
) -> None:
    assert parse_moment(text, datetime.fromisoformat(now).replace(fold=fold)) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "25:00",
        "1:2:3",
        "soon",
        "2026-03-28",
        "13pm",
        "0am",
        "18",
        "6:60pm",
        "6xm",
        "9999-12-31T23:59:59-23:00",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_an_invalid_time_is_refused_with_the_allowed_form(text: str) -> None:
    with pytest.raises(Usage) as refused:
        parse_moment(text, NOON)
    assert refused.value.code == "bad-time"
    assert "18:30" in refused.value.hint


def test_only_another_day_is_shown_with_its_date() -> None:
    assert clock("2026-03-14T22:59:59Z", samples.NOW) == "23:59"
    assert clock("2026-03-14T23:00:00Z", samples.NOW) == "2026-03-15 00:00"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7199.9, "1h59m"),
        (3600, "1h"),
        (3599.9, "59m59s"),
        (0.4, "0s"),
        (-5, "0s"),
        (90061, "1d1h1m"),
    ],
)
def test_over_an_hour_seconds_are_left_out(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invited, from 2026-03-14T23:00:00Z on", "invited, from 2026-03-15 00:00 on"),
        ("it was 2026-03-14T13:40:02Z", "it was 14:40:02"),
        ("2026-99-14T23:00:00Z", "2026-99-14T23:00:00Z"),
    ],
)
def test_utc_times_in_the_daemons_texts_are_local(text: str, shown: str) -> None:
    assert localized(text, samples.NOW) == shown


def test_utc_times_in_errors_are_local(capsys: pytest.CaptureFixture[str]) -> None:
    output.failure(PairingError("late", "2026-03-14T13:40:00Z has passed", ""), as_json=False)
    assert capsys.readouterr().err == "error: 2026-03-14 14:40 has passed\n"
