"""`make charts`: docs/pictures/performance.svg, from the figures in docs/performance.json.

Each bar is a ratio to what was measured beside it, on a logarithmic scale: to the left of the line
pairing is better, to the right worse.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from tests.benchmarks.figure import TIMES
from tests.pictures.drawing import document
from tests.pictures.screen import BACKGROUND, FOREGROUND
from tests.stage import ROOT

DATA = ROOT / "docs" / "performance.json"
PICTURE = ROOT / "docs" / "pictures" / "performance.svg"
ABOUT = "Ratios to a plain sshd, to the same by hand or to one guest; left of the line is better."
BETTER, WORSE = "#3fb950", "#e3b341"
LABELS, BARS, ROW, TOP = 470, 460, 22, 56  # pixels
LEAST, MOST = 1 / 32, 32.0
MARKS = (0.1, 0.5, 1.0, 2.0, 10.0)


def chart(figures: list[dict[str, Any]]) -> str:
    compared = sorted((one for one in figures if one["ratio"]), key=lambda one: one["ratio"])
    width, height = LABELS + BARS + 90, TOP + ROW * len(compared) + 16
    body = [
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        _text(16, 24, "measured / compared with", "start", FOREGROUND),
        *(_mark(ratio, height) for ratio in MARKS),
        *(part for number, one in enumerate(compared) for part in _bar(number, one)),
    ]
    return document(ABOUT, width, height, body)


def _bar(number: int, one: dict[str, Any]) -> Iterator[str]:
    ratio, y = one["ratio"], TOP + number * ROW
    colour = BETTER if ratio <= 1 else WORSE
    left, right = sorted((_place(1.0), _place(ratio)))
    yield _text(16, y + 15, f"{one['what']}", "start", FOREGROUND)
    yield (
        f'<rect x="{left:.1f}" y="{y + 4}" width="{max(right - left, 1):.1f}" height="{ROW - 8}" '
        f'fill="{colour}"><title>{escape(one["compared_with"])}</title></rect>'
    )
    yield _text(LABELS + BARS + 10, y + 15, f"{ratio:.2f} {TIMES}", "start", colour)


def _mark(ratio: float, height: int) -> str:
    x = _place(ratio)
    opacity = 1 if ratio == 1 else 0.25
    return (
        f'<path d="M{x:.1f} {TOP - 8}V{height - 10}" stroke="{FOREGROUND}" opacity="{opacity}"/>'
        f"{_text(x, TOP - 14, f'{ratio:g} {TIMES}', 'middle', FOREGROUND)}"
    )


def _place(ratio: float) -> float:
    within = min(max(ratio, LEAST), MOST)
    return LABELS + BARS * math.log(within / LEAST) / math.log(MOST / LEAST)


def _text(x: float, y: int, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:g}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def main() -> int:
    PICTURE.write_text(chart(json.loads(DATA.read_text("utf-8"))["figures"]), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
