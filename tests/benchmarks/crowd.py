"""Guests who come all at once, through our door and through a plain sshd."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median

from tests.benchmarks.figure import Figure, interleaved
from tests.benchmarks.ssh import PLAIN, plain_sshd, wait_until_out
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.stage import Guest, Stage

ROUNDS = 2
WITHIN = 60.0  # seconds; who is not in by then has failed
MOST = 50
STARTUPS = "MaxStartups 200\nPerSourceMaxStartups none\n"  # its own defaults turn most away


def measure(stage: Stage, _: Guest) -> list[Figure]:
    """With the session running, and nobody in it."""
    guests = [stage.guest(f"crowd{number}") for number in range(MOST)]
    for some in (guests[:25], guests[25:]):  # an invitation has a limit of its own
        stage.pairctl("invite", *(guest.name for guest in some), "--ttl", "1h", "--no-copy")
    door = stage.asks("status")["door"]["port"]
    with plain_sshd(stage, guests, STARTUPS) as (_process, plain):
        return [
            *_figures(
                stage, guests[:20], ["127.0.3.1"] * 20, "20 guests from one address", door, plain
            ),
            *_figures(
                stage,
                guests,
                [f"127.0.3.{n + 1}" for n in range(MOST)],
                "50 guests from 50",
                door,
                plain,
            ),
        ]


def _figures(
    stage: Stage, guests: list[Guest], sources: list[str], what: str, door: int, plain: int
) -> list[Figure]:
    refused = {door: 0, plain: 0}

    def coming(port: int) -> Callable[[], float]:
        def sample() -> float:
            commands = [
                guest.ssh("-b", source, port=port)
                for guest, source in zip(guests, sources, strict=True)
            ]
            seconds, failed = all_painted(stage, commands)
            refused[port] += failed
            return seconds

        return sample

    ours, theirs = map(median, interleaved(ROUNDS, coming(door), coming(plain)))
    return [
        Figure(f"{what}, until all are in", ours, "s", PLAIN, theirs, most_ratio=1.2),
        Figure(
            f"{what}: refused at the first try", refused[door], "", PLAIN, refused[plain], most=0
        ),
    ]


def all_painted(stage: Stage, commands: Sequence[tuple[str, ...]]) -> tuple[float, int]:
    """Seconds until each of `commands`, started at once, has painted, and how many have not."""
    with ExitStack() as stack:
        began = time.monotonic()
        terminals = [
            stack.enter_context(Terminal(command, stage.environment)) for command in commands
        ]
        seen = dict.fromkeys(terminals, b"")
        coming, failed, painted = set(terminals), 0, began
        while coming and time.monotonic() < began + WITHIN:
            ready, _, _ = select.select(list(terminals), [], [], 1.0)
            now = time.monotonic()
            for terminal in ready:
                data = terminal.read()
                if not data:
                    terminals.remove(terminal)
                    failed += terminal in coming
                    coming.discard(terminal)
                elif terminal in coming:
                    seen[terminal] += data
                    if ALTERNATE_SCREEN in seen[terminal]:
                        coming.remove(terminal)
                        painted = now
        failed += len(coming)
    wait_until_out(stage)
    return painted - began, failed
