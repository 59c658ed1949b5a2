"""`pairctl status` and `status --line` into a pipe, in multiples of the interpreter's own start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tests.benchmarks.figure import Figure, interleaved, of_samples
from tests.stage import PAIRCTL, Guest, Stage

ROUNDS = 31


def measure(stage: Stage, _: Guest) -> list[Figure]:
    whole, line, theirs = interleaved(
        ROUNDS,
        _run(stage, PAIRCTL, "status"),
        _run(stage, PAIRCTL, "status", "--line"),
        _run(stage, sys.executable, "-c", "pass"),
    )
    return [
        of_samples(f"{what}, piped", ours, "python3 -c pass", theirs, most_ratio=5)
        for what, ours in (("pairctl status", whole), ("pairctl status --line", line))
    ]


def _run(stage: Stage, *argv: str) -> Callable[[], float]:
    def sample(command: Sequence[str] = argv) -> float:
        began = time.perf_counter()
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=stage.environment,
            cwd=stage.path,
        )
        return time.perf_counter() - began

    return sample
