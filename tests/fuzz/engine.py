"""One parser against inputs that nobody meant: mutations of its corpus, the same for the same seed.

An input that leads to an outcome not seen before is mutated further. What a parser must keep: it
raises nothing but what it declares, its promises hold of what it returns, no input costs it more
than SECONDS or keeps memory.
"""

from __future__ import annotations

import contextlib
import gc
import random
import re
import signal
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct, field

from pairingd.core.text import one_line
from tests.fuzz import mutation

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 1.0  # of CPU time that one input may cost
_TOO_LONG = f"more than {SECONDS:g} s of CPU time"
_MOST_OUTCOMES = 1000
_MOST_FINDINGS = 5
_SAMPLE = 200  # inputs whose memory is measured
_KEPT = 128 * 1024  # bytes that all of these may leave behind: caches that are filled once
_PEAK = 4 << 20, 64  # bytes that one may take: so many, and so many for each byte of it


class Target(Struct, frozen=True):
    """`parse` catches what the parser declares, asserts its promises, and names the outcome."""

    name: str
    parse: Callable[[bytes], str]
    mutate: mutation.Mutator = mutation.data

    def corpus(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())}


class Finding(Struct, frozen=True):
    """An input that a parser does not bear, as short as it could be made."""

    target: str
    data: bytes
    what: str


class Report(Struct):
    target: str
    seed: int
    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0  # seconds of CPU time
    outcomes: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


class _Hung(BaseException):
    """No Exception, so that no parser takes it for one of its own."""


def run(target: Target, seed: int, inputs: int, seconds: float) -> Report:
    """The whole corpus, then mutations: up to `inputs` together, within about `seconds`."""
    report = Report(target.name, seed)
    chance = random.Random(f"{seed}/{target.name}")
    sample: list[bytes] = []
    found: set[str] = set()
    began = time.monotonic()
    for data in _inputs(target, chance, report.outcomes):
        if report.inputs >= inputs or time.monotonic() - began >= seconds:
            break
        report.inputs += 1
        what, cost = _tried(target, data, report.outcomes)
        report.slowest = max(report.slowest, cost)
        if what and what not in found:
            found.add(what)
            report.findings.append(Finding(target.name, _shortened(target, data, what), what))
            if what == _TOO_LONG or len(found) == _MOST_FINDINGS:
                break
        if not what and report.inputs % max(1, inputs // _SAMPLE) == 0:
            sample.append(data)
    if not found:
        report.findings.extend(_memory(target, sample))
    report.seconds = time.monotonic() - began
    return report


def replay(target: Target, inputs: Sequence[bytes]) -> list[Finding]:
    found = ((data, _tried(target, data, set())[0]) for data in inputs)
    return [Finding(target.name, data, what) for data, what in found if what]


def _inputs(target: Target, chance: random.Random, outcomes: set[str]) -> Iterator[bytes]:
    pool = list(target.corpus().values())
    yield from tuple(pool)
    while True:
        seen = len(outcomes)
        data = target.mutate(chance, chance.choice(pool), pool)
        yield data
        if seen < len(outcomes) <= _MOST_OUTCOMES:
            pool.append(data)


def _tried(target: Target, data: bytes, outcomes: set[str]) -> tuple[str, float]:
    """What is wrong, "" for nothing, and the CPU seconds that it took."""
    began = time.process_time()
    what = ""
    try:
        with _limited(SECONDS):
            outcomes.add(re.sub(r"\d+", "#", target.parse(data)))
    except _Hung:
        what = _TOO_LONG
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        at = traceback.extract_tb(error.__traceback__)[-1]
        what = one_line(f"{type(error).__name__} in {at.name}: {at.line}", 200)
    return what, time.process_time() - began


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """CPU time, so that a busy machine is no finding. `re` looks at signals while it matches."""

    def over(_number: int, _frame: object) -> None:
        raise _Hung

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _shortened(target: Target, data: bytes, what: str) -> bytes:
    """Parts are left out as long as the same is found."""
    tries = 8 if what == _TOO_LONG else 300
    size = len(data) // 2
    while size and tries:
        for start in range(0, len(data), size):
            shorter = data[:start] + data[start + size :]
            tries -= 1
            if not tries:
                break
            if _tried(target, shorter, set())[0] == what:
                data = shorter
                break
        else:
            size //= 2
    return data


def _held() -> int:
    """Bytes, without what only waits for the collector."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _memory(target: Target, sample: Sequence[bytes]) -> Iterator[Finding]:
    """What one of the sample takes, and what all leave behind, once they have filled the caches."""

    def turn() -> Iterator[Finding]:
        for data in sample:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            target.parse(data)
            peak = tracemalloc.get_traced_memory()[1] - before
            if peak > _PEAK[0] + _PEAK[1] * len(data):
                yield Finding(target.name, data, f"takes {peak} bytes")

    tracemalloc.start()
    try:
        found = list(turn())
        before = _held()
        list(turn())
        kept = _held() - before
    finally:
        tracemalloc.stop()
    yield from found[:_MOST_FINDINGS]
    if kept > _KEPT:
        yield Finding(target.name, b"", f"{len(sample)} inputs leave {kept} bytes behind")
