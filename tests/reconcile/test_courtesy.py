"""How times are written to guests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pairingd.reconcile.access.local_time import clock_time, localized

HALF_PAST_TEN_PM = datetime(2026, 3, 14, 22, 30, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _in_greenwich() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC0")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("hours", "written"),
    [
        (1.0, "23:30"),
        (2.0, "00:30"),  # tomorrow's, and no other could be meant
        (11.9, "10:24"),
        (-2.0, "20:30"),
        (12.0, "2026-03-15 10:30"),
        (24.0, "2026-03-15 22:30"),
        (-24.0, "2026-03-13 22:30"),
    ],
)
def test_a_time_has_its_date_where_another_day_could_be_meant(hours: float, written: str) -> None:
    assert clock_time(HALF_PAST_TEN_PM + hours * HOUR, HALF_PAST_TEN_PM) == written


def test_utc_times_in_a_text_are_written_so_and_what_only_looks_like_one_is_left() -> None:
    text = "from 2026-03-14T23:30:00Z on, 2026-99-14T23:30:00Z"
    assert localized(text, HALF_PAST_TEN_PM) == "from 23:30 on, 2026-99-14T23:30:00Z"
