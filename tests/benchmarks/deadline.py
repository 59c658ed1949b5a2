"""How long after their deadline, or after `pairctl end`, guests are still connected, as they see it."""

from __future__ import annotations

import select
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from tests.benchmarks.figure import Figure
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.stage import Guest, Stage

CROWDS = (1, 10, 50)
RUNS = 3
AHEAD = timedelta(seconds=12)  # time to move the deadlines of all
WITHIN = 60.0
AT_ONCE = 25  # guests that one invitation may name


def measure(stage: Stage) -> list[Figure]:
    """With the session running, and nobody in it."""
    guests = [stage.guest(f"late{number}") for number in range(max(CROWDS))]
    figures = []
    for crowd in CROWDS:
        expired = [_overshoot(stage, guests[:crowd]) for _ in range(RUNS)]
        ended = [_ending(stage, guests[:crowd]) for _ in range(RUNS)]
        who = "guest is" if crowd == 1 else f"{crowd} guests are"
        figures += [
            _figure(f"{who} out after the deadline", expired),
            _figure(f"{who} out after end", ended),
        ]
    return figures


def _figure(what: str, seconds: list[float]) -> Figure:
    best = f"best {min(seconds) * 1000:.0f} ms"
    return Figure(f"{what}, worst of {RUNS}", max(seconds) * 1000, "ms", best, most=200)


def _overshoot(stage: Stage, guests: list[Guest]) -> float:
    """The last of several has no terminal at all (ssh -N), so that only its cutting ends it."""
    with ExitStack() as stack:
        terminals = _inside(stage, stack, guests)
        deadline = (datetime.now(UTC) + AHEAD).replace(microsecond=0)
        for guest in guests:
            stage.pairctl("extend", guest.name, "--until", deadline.isoformat())
        out = _all_out(terminals) - deadline.timestamp()
    assert out > -0.05, f"somebody was out {-out:.2f} s early"
    return out


def _ending(stage: Stage, guests: list[Guest]) -> float:
    with ExitStack() as stack:
        terminals = _inside(stage, stack, guests)
        with stage.client() as client:
            began = time.time()
            client.call("end")
            return _all_out(terminals) - began


def _inside(stage: Stage, stack: ExitStack, guests: list[Guest]) -> list[Terminal]:
    for first in range(0, len(guests), AT_ONCE):
        names = [guest.name for guest in guests[first : first + AT_ONCE]]
        stage.pairctl("invite", *names, "--ttl", "1h", "--no-copy")
    port = stage.asks("status")["door"]["port"]
    terminals = []
    for number, guest in enumerate(guests):
        bare = ("-N",) if 0 < number == len(guests) - 1 else ()
        argv = guest.ssh(*bare, port=port)
        terminals.append(stack.enter_context(Terminal(argv, stage.environment)))
        if not bare:
            terminals[-1].sees(ALTERNATE_SCREEN, within=WITHIN)
    return terminals


def _all_out(terminals: list[Terminal]) -> float:
    """The wall-clock time at which the last of them let go of its terminal."""
    inside, last = set(terminals), time.time()
    deadline = time.monotonic() + WITHIN
    while inside:
        ready, _, _ = select.select(list(inside), [], [], deadline - time.monotonic())
        assert ready, f"{len(inside)} of {len(terminals)} are still in"
        last = time.time()
        inside -= {terminal for terminal in ready if not terminal.read()}
    return last
