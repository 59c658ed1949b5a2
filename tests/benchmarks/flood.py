"""An invited guest's first paint while strangers flood the door, and a plain sshd beside it."""

from __future__ import annotations

import time
from math import ceil

from tests.benchmarks.figure import Figure
from tests.benchmarks.ssh import plain_sshd, wait_until_out
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.floods import FLOODS, GUEST, Flood
from tests.stage import Guest, Stage

TRIES = 8
PLAIN_TRIES = 4
SETTLED = 5.0  # seconds; what is reopened every 4.5 s has been, once
WITHIN = 10.0  # seconds; who is not in by then was kept out
BETWEEN = 0.3  # seconds from one try to the next


def measure(stage: Stage, guest: Guest) -> list[Figure]:
    """With `guest` invited and the session running."""
    door = stage.asks("status")["door"]["port"]
    with plain_sshd(stage, [guest]) as (_, plain):
        return [_figure(stage, guest, flood, door, plain) for flood in FLOODS]


def _figure(stage: Stage, guest: Guest, flood: Flood, door: int, plain: int) -> Figure:
    ours = _tries(stage, guest, flood, door, TRIES)
    theirs = _tries(stage, guest, flood, plain, PLAIN_TRIES)
    entered = sum(one < WITHIN for one in ours)
    others = f"plain sshd: {sum(one < WITHIN for one in theirs)} of {PLAIN_TRIES}"
    return Figure(
        f"{flood.what}: first paint, p95",
        sorted(ours)[ceil(0.95 * TRIES) - 1],
        "s",
        f"{entered} of {TRIES} in at the first try; {others}",
        most=3.0,
    )


def _tries(stage: Stage, guest: Guest, flood: Flood, port: int, number: int) -> list[float]:
    """Seconds; WITHIN for one that did not get in."""
    with flood.against(port):
        time.sleep(SETTLED)
        seconds = [_paint(stage, guest, port) for _ in range(number)]
    wait_until_out(stage)
    return seconds


def _paint(stage: Stage, guest: Guest, port: int) -> float:
    with Terminal(guest.ssh("-b", GUEST, port=port), stage.environment) as terminal:
        try:
            painted = terminal.sees(ALTERNATE_SCREEN, WITHIN) - terminal.began
        except AssertionError:
            painted = WITHIN
    time.sleep(BETWEEN)
    return painted
