"""What a daemon costs while it waits: wake-ups, and memory before and after its first invitation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.benchmarks.figure import Figure
from tests.stage import Stage

AT_LEAST = 62.0  # seconds of idleness
SETTLED = 3.0  # seconds after the start, when nothing of it is left to do


class Idle:
    """A daemon in the foreground that is left alone while other things are measured."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._process = psutil.Process(stage.daemon().pid)
        self._since = time.monotonic() + SETTLED
        self._switches: int | None = None

    def note(self) -> None:
        """Begin to count. To be called once, at any time."""
        time.sleep(max(self._since - time.monotonic(), 0.0))
        self._since = time.monotonic()
        self._switches = self._count()

    def measure(self) -> list[Figure]:
        assert self._switches is not None
        time.sleep(max(self._since + AT_LEAST - time.monotonic(), 0.0))
        # Read by the kernel, from outside: the looking does not wake the daemon.
        switches = self._count() - self._switches
        minutes = (time.monotonic() - self._since) / 60
        before = self._rss()
        stage = self._stage
        guest = stage.guest("octocat")
        stage.pairctl("invite", "octocat", "--ttl", "5m", "--no-copy")
        invited = self._rss()
        joined = guest.joins()
        joined.types("echo here''here")
        joined.shows("herehere")
        return [
            Figure(
                f"wake-ups a minute while idle, over {minutes:.1f} min",
                switches / minutes,
                "",
                f"{switches} voluntary context switches",
                below=1,
            ),
            Figure("RSS of the daemon, idle", before, "MiB", below=35),
            Figure("RSS after the first invitation", invited, "MiB", below=48),
            Figure("RSS with a guest in the session", self._rss(), "MiB", below=48),
        ]

    def _count(self) -> int:
        return int(self._process.num_ctx_switches().voluntary)

    def _rss(self) -> float:
        return float(self._process.memory_info().rss) / 2**20


@contextmanager
def idling() -> Iterator[Idle]:
    with Stage() as stage:
        yield Idle(stage)
