"""How long after their deadline, or after `pairctl end`, guests are still connected, as they see it."""

from __future__ import annotations

import select
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from pairingd.core.durations import utc
from tests.benchmarks.figure import Figure
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.stage import Guest, Stage

RUNS = {1: 3, 10: 2, 50: 1}  # by the number of guests
AHEAD_S, AHEAD_EACH_S = 2.0, 0.2  # time to move the deadlines of all
WITHIN = 60.0
AT_ONCE = 25  # guests that one invitation may name
WAVE = 10  # that come at once


def measure(stage: Stage, _: Guest) -> list[Figure]:
    """With the session running, and nobody in it."""
    guests = [stage.guest(f"late{number}") for number in range(max(RUNS))]
    figures = []
    for crowd, runs in RUNS.items():
        expired = [_overshoot(stage, guests[:crowd]) for _ in range(runs)]
        ended = [_ending(stage, guests[:crowd]) for _ in range(runs)]
        who = "guest is" if crowd == 1 else f"{crowd} guests are"
        figures += [
            _figure(f"{who} out after the deadline", expired),
            _figure(f"{who} out after end", ended),
        ]
    return figures


def _figure(what: str, seconds: list[float]) -> Figure:
    best = f"best {min(seconds) * 1000:.0f} ms"
    return Figure(f"{what}, worst of {len(seconds)}", max(seconds) * 1000, "ms", best, most=200)


def _overshoot(stage: Stage, guests: list[Guest]) -> float:
    """The last of several has no terminal at all (ssh -N), so that only its cutting ends it."""
    with ExitStack() as stack:
        terminals = _inside(stage, stack, guests)
        deadline = datetime.now(UTC) + timedelta(seconds=AHEAD_S + AHEAD_EACH_S * len(guests))
        deadline = deadline.replace(microsecond=0)
        with stage.client() as client:
            for guest in guests:
                client.call("extend", {"guest": guest.name, "until": utc(deadline.timestamp())})
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
    terminals: list[Terminal] = []
    for first in range(0, len(guests), WAVE):
        wave = []
        for guest in guests[first : first + WAVE]:
            bare = ("-N",) if guest is guests[-1] and len(guests) > 1 else ()
            argv = guest.ssh(*bare, port=port)
            terminals.append(stack.enter_context(Terminal(argv, stage.environment)))
            wave += [] if bare else [terminals[-1]]
        for terminal in wave:
            terminal.sees(ALTERNATE_SCREEN, within=WITHIN)
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
