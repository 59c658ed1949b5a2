"""`pairctl status` into a pipe, in multiples of the interpreter's own start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.figure import Figure, interleaved
from tests.stage import Stage

ROUNDS = 31


def measure(stage: Stage) -> list[Figure]:
    pairctl = str(Path(sys.executable).parent / "pairctl")
    ours, theirs = interleaved(
        ROUNDS, _run(stage, pairctl, "status"), _run(stage, sys.executable, "-c", "pass")
    )
    return [
        Figure(
            "pairctl status, piped",
            median(ours) * 1000,
            "ms",
            "python3 -c pass",
            median(theirs) * 1000,
            most_ratio=5,
        )
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
