"""What a daemon costs while it waits: wake-ups, and memory before and after its first invitation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.benchmarks.figure import Figure
from tests.benchmarks.ssh import PLAIN, plain_sshd
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
        rss, ours = self._rss(), _private_below(self._process)
        with plain_sshd(stage, [guest]) as (process, port):
            beside = guest.joins(port=port)
            beside.shows("herehere")
            theirs = _private_below(psutil.Process(process.pid))
        return [
            Figure(
                f"wake-ups a minute while idle, over {minutes:.1f} min",
                switches / minutes,
                "",
                f"{switches} voluntary context switches",
                below=1,
            ),
            Figure("RSS of the daemon, idle", before, "MiB", most=24),
            Figure("RSS after the first invitation", invited, "MiB", most=36),
            Figure("RSS with a guest in the session", rss, "MiB", most=36),
            Figure("memory in all, one guest in", ours, "MiB", PLAIN, theirs),
        ]

    def _count(self) -> int:
        return int(self._process.num_ctx_switches().voluntary)

    def _rss(self) -> float:
        return float(self._process.memory_info().rss) / 2**20


def _private_below(process: psutil.Process) -> float:
    """MiB that would be free without it and all that it has started; tmux is not among them."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += one.memory_full_info().uss
    return total / 2**20


@contextmanager
def idling() -> Iterator[Idle]:
    with Stage() as stage:
        yield Idle(stage)
