"""Programs that the daemon starts, and files it opens, for what guests and host do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.figure import Figure
from tests.benchmarks.ssh import wait_until_out
from tests.stage import Guest, Stage, Terminal

CROWD = 10
QUIET_S = 2.0  # of the record, after which what was done is over


def measure() -> list[Figure]:
    with Stage() as stage:
        record = stage.path / "starts"
        stage.daemon(program=("-m", "tests.benchmarks.counted", str(record)))
        guests = [stage.guest(f"busy{number}") for number in range(CROWD)]
        stage.pairctl("invite", *(guest.name for guest in guests), "--ttl", "1h", "--no-copy")
        _counted(record, lambda: None)
        first = _figures(record, "the first guest joins", lambda: _joins(stage, guests[:1], 1), 5)
        second = _figures(record, "a guest joins", lambda: _joins(stage, guests[1:2], 2), 5)
        rename = _figures(record, "a window is renamed", lambda: _renames(stage), 0)
        _counted(record, lambda: _joins(stage, guests[2:], CROWD))
        end = _figures(record, f"end with {CROWD} guests", lambda: _ends(stage), 8)
        return [*first, *second, *rename, *end]


def _figures(record: Path, what: str, act: Callable[[], object], most: int) -> list[Figure]:
    starts, opened = _counted(record, act)
    return [Figure(f"{what}: programs started", starts, "", f"{opened} files opened", most=most)]


def _counted(record: Path, act: Callable[[], object]) -> tuple[int, int]:
    """How many programs were started and files opened, until all is quiet."""
    before = record.stat().st_size
    act()
    size, since = -1, time.monotonic()
    while time.monotonic() < since + QUIET_S:
        time.sleep(0.1)
        if (now := record.stat().st_size) != size:
            size, since = now, time.monotonic()
    lines = record.read_bytes()[before:].decode(errors="replace").splitlines()
    return sum(line.startswith("start") for line in lines), lines.count("open")


def _joins(stage: Stage, guests: list[Guest], inside: int) -> list[Terminal]:
    terminals = [guest.joins() for guest in guests]
    stage.has_seen(inside)
    return terminals


def _renames(stage: Stage) -> None:
    stage.tmux("rename-window", "-t", "=pairing:", "renamed")


def _ends(stage: Stage) -> None:
    stage.pairctl("end")
    wait_until_out(stage)
