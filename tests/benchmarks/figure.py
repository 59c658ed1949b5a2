"""One figure: what was measured, what it is measured against, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from statistics import median
from typing import Any

from msgspec import Struct

Row = tuple[str, ...]
TIMES = "\N{MULTIPLICATION SIGN}"
HEAD: Row = ("what", "ours", "p99", "compared with", "ratio", "wanted", "ok?")


class Figure(Struct, frozen=True):
    """`ours` is None where it could not be measured, and `why_not` says why.

    `most` bounds `ours`, `below` does so strictly, `most_ratio` bounds ours / theirs. `p99` and
    `their_p99` are of the same samples; of fewer than a hundred they are the worst.
    """

    what: str
    ours: float | None
    unit: str
    beside: str = ""
    theirs: float | None = None
    most: float | None = None
    below: float | None = None
    most_ratio: float | None = None
    why_not: str = ""
    p99: float | None = None
    their_p99: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.theirs if self.ours is not None and self.theirs else None

    @property
    def ok(self) -> bool | None:
        """None where nothing is wanted, or nothing was measured."""
        if self.ours is None:
            return None
        held = [
            *([] if self.most is None else [self.ours <= self.most]),
            *([] if self.below is None else [self.ours < self.below]),
            *(
                []
                if self.most_ratio is None or self.ratio is None
                else [self.ratio <= self.most_ratio]
            ),
        ]
        return all(held) if held else None

    @property
    def wanted(self) -> str:
        return ", ".join(
            [
                *([] if self.most is None else [f"≤ {_amount(self.most, self.unit)}"]),
                *([] if self.below is None else [f"< {_amount(self.below, self.unit)}"]),
                *([] if self.most_ratio is None else [f"≤ {self.most_ratio:g} {TIMES}"]),
            ]
        )

    def row(self) -> Row:
        if self.ours is None:
            return (self.what, "-", "", f"not measured here: {self.why_not}", "", self.wanted, "")
        beside = self.beside
        if self.theirs is not None:
            theirs = _amount(self.theirs, self.unit)
            worst = "" if self.their_p99 is None else f" (p99 {_amount(self.their_p99, '')})"
            beside = f"{theirs}{worst}  {self.beside}"
        ratio = "" if self.ratio is None else f"{self.ratio:.3f} {TIMES}"
        verdict = {True: "yes", False: "MISSED", None: ""}[self.ok]
        ours = _amount(self.ours, self.unit)
        worst = "" if self.p99 is None else _amount(self.p99, self.unit)
        return (self.what, ours, worst, beside, ratio, self.wanted, verdict)

    def record(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "ours": self.ours,
            "unit": self.unit,
            "compared_with": self.beside,
            "theirs": self.theirs,
            "p99": self.p99,
            "their_p99": self.their_p99,
            "ratio": self.ratio,
            "wanted": self.wanted,
            "ok": self.ok,
            "why_not": self.why_not,
        }


def of_samples(
    what: str,
    ours: Sequence[float],
    beside: str = "",
    theirs: Sequence[float] = (),
    *,
    most: float | None = None,
    most_ratio: float | None = None,
) -> Figure:
    """Medians in ms, of samples in seconds."""
    return Figure(
        what,
        median(ours) * 1000,
        "ms",
        beside,
        median(theirs) * 1000 if theirs else None,
        most=most,
        most_ratio=most_ratio,
        p99=p99(ours) * 1000,
        their_p99=p99(theirs) * 1000 if theirs else None,
    )


def p99(samples: Sequence[float]) -> float:
    return sorted(samples)[ceil(0.99 * len(samples)) - 1]


def table(figures: Sequence[Figure]) -> str:
    rows = [HEAD, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def interleaved(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """The samples of each of `measures`, taken in turn, so that a busy moment meets all of them.

    Every other round goes backwards, so that none profits from always following the same one.
    """
    samples: list[list[float]] = [[] for _ in measures]
    for number in range(rounds):
        order = range(len(measures))
        for index in order if number % 2 == 0 else reversed(order):
            samples[index].append(measures[index]())
    return samples


def _amount(value: float, unit: str) -> str:
    text = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{text} {unit}".rstrip()
