"""What guests read, and how times are written to them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pairingd.reconcile.access import courtesy
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


async def test_a_guest_s_last_line_is_written_on_a_machine_too_busy_to_run_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courtesy, "_DISK_LOOKS", 6000)  # the machine of the test may be busy, too
    loop, file, stopped_s = asyncio.get_running_loop(), tmp_path / "farewell", 0.0
    time_that_runs = loop.time
    monkeypatch.setattr(loop, "time", lambda: time_that_runs() + stopped_s)
    threads_run = threading.Event()
    for _ in range(64):  # more than there are threads
        loop.run_in_executor(None, threads_run.wait)

    def runs_again(passes: int = 10) -> None:
        """The loop is the first to run, and sees that a second has passed."""
        nonlocal stopped_s
        stopped_s = 1.0
        if passes:
            loop.call_soon(runs_again, passes - 1)
        else:
            threads_run.set()

    loop.call_soon(runs_again)
    await courtesy._write_in_time({file: "the host ended the session"})
    threads_run.set()
    assert file.read_text() == "the host ended the session\n"
