"""What a box costs: the invitation, the first paint, each key, and memory, beside the same without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice

import psutil

from pairingd.box.place import living
from tests.benchmarks.figure import Figure, interleaved, of_samples
from tests.benchmarks.ssh import FORGET, GAP, KEYS, LETTERS
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.stage import Guest, Stage, until

ROUNDS = 6
PAINTS = 9
INVITES = 5
WITHOUT = "the same without a box"


class Side:
    """A daemon with a session, in a box or not."""

    def __init__(self, stage: Stage, *, boxed: bool) -> None:
        self.stage = stage
        self.boxed = boxed
        (stage.user_home / "project").mkdir()
        stage.pairctl("start")
        self.guest: Guest = stage.guest("octocat")
        self.invites()

    def invites(self) -> float:
        """Into a new session; the seconds that takes."""
        more = ("--box", str(self.stage.user_home / "project")) if self.boxed else ()
        began = time.monotonic()
        self.stage.pairctl("invite", "octocat", "--ttl", "1h", "--no-copy", *more)
        return time.monotonic() - began

    def invites_anew(self) -> float:
        self.stage.pairctl("end")
        self.ends()
        until(lambda: not self.stage.asks("status")["session"]["running"], "it is over")
        return self.invites()

    def ends(self) -> None:
        if found := living(str(self.stage.home / "box")):
            found.end()
        elif not self.boxed:
            self.stage.tmux("kill-server")

    def ssh(self) -> tuple[str, ...]:
        return self.guest.ssh(port=self.stage.asks("status")["door"]["port"])

    def paints(self) -> float:
        with Terminal(self.ssh(), self.stage.environment) as terminal:
            painted = terminal.sees(ALTERNATE_SCREEN) - terminal.began
            terminal.rests()
        return painted

    def memory(self) -> float:
        """MiB that the machine has less for all that is ours beside the daemon and tmux's server,
        with a guest in. A page that processes share is divided by their number (proc(5), Pss).
        """
        with Terminal(self.ssh(), self.stage.environment) as terminal:
            terminal.sees(ALTERNATE_SCREEN)
            terminal.rests()
            daemon = psutil.Process(self.stage.asks("status")["daemon"]["pid"])
            found = living(str(self.stage.home / "box"))
            roots = [daemon, *([psutil.Process(found.keeper)] if found and found.keeper else [])]
            every = {one for root in roots for one in (root, *root.children(recursive=True))}
            counted = [one for one in every if one.name() != "tmux: server" and one != daemon]
            used = [one.memory_full_info() for one in counted]
            return sum(getattr(one, "pss", one.uss) for one in used) / (1 << 20)  # macOS has no Pss


@contextmanager
def _side(*, boxed: bool) -> Iterator[Side]:
    with Stage() as stage:
        made = Side(stage, boxed=boxed)
        try:
            yield made
        finally:
            made.ends()


def measure() -> list[Figure]:
    with _side(boxed=True) as boxed, _side(boxed=False) as plain:
        ours, theirs = interleaved(INVITES, boxed.invites_anew, plain.invites_anew)
        more = sorted(ours)[len(ours) // 2] - sorted(theirs)[len(theirs) // 2]
        paints = interleaved(PAINTS, boxed.paints, plain.paints)
        later = sorted(paints[0])[PAINTS // 2] - sorted(paints[1])[PAINTS // 2]
        echoes = _echoes(boxed, plain)
        memory = boxed.memory() - plain.memory()
    return [
        of_samples("invite into a new session in a box", ours, WITHOUT, theirs),
        Figure("so much later is invite, with a box", more, "s", most=0.3),
        of_samples("first paint in a box", paints[0], WITHOUT, paints[1]),
        Figure("so much later is first paint, in a box", later, "s", most=0.05),
        of_samples("keystroke echo in a box", *(echoes[0], WITHOUT, echoes[1]), most_ratio=1.1),
        Figure("memory of a boxed session with a guest in", memory, "MiB", WITHOUT, most=15),
    ]


def _echoes(*sides: Side) -> list[list[float]]:
    """Key by key in turn, in two sessions."""
    samples: list[list[float]] = [[] for _ in sides]
    for _ in range(ROUNDS):
        with (
            Terminal(sides[0].ssh(), sides[0].stage.environment) as first,
            Terminal(sides[1].ssh(), sides[1].stage.environment) as second,
        ):
            both = (first, second)
            for one in both:
                one.sees(ALTERNATE_SCREEN)
                one.rests()
            for byte in islice(cycle(LETTERS), 2 * KEYS):
                for index, one in enumerate(both):
                    samples[index].append(_echo(one, bytes([byte])))
            for one in both:
                one.write(FORGET)
    return samples


def _echo(terminal: Terminal, key: bytes) -> float:
    time.sleep(GAP)
    pressed = time.monotonic()
    terminal.write(key)
    return terminal.sees(key) - pressed
