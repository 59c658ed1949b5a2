"""A terminal recording as one SVG that moves by itself (SMIL), over and over.

A line that stays on the screen is drawn once, and shown while it is there. What does not play it
shows the frame that is its `still`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape

from msgspec import Struct

from tests.pictures.drawing import (
    FRAME,
    Window,
    cursor,
    document,
    frame,
    places,
    runs,
    size,
    within,
)
from tests.pictures.screen import Line, Screen

CAPTION = 34  # pixels below the windows


class Frame(Struct, frozen=True):
    """What is seen for `seconds`: a screen for each window."""

    screens: tuple[Screen, ...]
    seconds: float
    caption: str


def film(about: str, windows: Sequence[Window], frames: Sequence[Frame], still: int) -> str:
    width, height = size(windows)
    body = []
    for index, (window, x) in enumerate(zip(windows, places(windows), strict=True)):
        shots = [shot.screens[index] for shot in frames]
        inside = [*_lines(shots, frames, still), *_cursors(shots, frames, still)]
        body += [frame(window, x), within(x, inside)]
    body += _captions(frames, still, width // 2, height + 23)
    return document(about, width, height + CAPTION, body)


def _lines(shots: Sequence[Screen], frames: Sequence[Frame], still: int) -> Iterator[str]:
    seen: defaultdict[tuple[int, Line], set[int]] = defaultdict(set)
    for number, shot in enumerate(shots):
        for place, line in enumerate(shot.lines):
            if line:
                seen[place, line].add(number)
    for (place, line), numbers in seen.items():
        yield _while_shown(runs(line, place), numbers, frames, still)


def _cursors(shots: Sequence[Screen], frames: Sequence[Frame], still: int) -> Iterator[str]:
    seen: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for number, shot in enumerate(shots):
        if shot.cursor:
            seen[shot.cursor].add(number)
    for place, numbers in seen.items():
        yield _while_shown(cursor(place), numbers, frames, still)


def _captions(frames: Sequence[Frame], still: int, x: int, y: int) -> Iterator[str]:
    seen: defaultdict[str, set[int]] = defaultdict(set)
    for number, shot in enumerate(frames):
        seen[shot.caption].add(number)
    for caption, numbers in seen.items():
        text = f'<text x="{x}" y="{y}" text-anchor="middle" fill="{FRAME}">{escape(caption)}</text>'
        yield _while_shown([text], numbers, frames, still)


def _while_shown(
    body: Iterable[str], numbers: set[int], frames: Sequence[Frame], still: int
) -> str:
    if len(numbers) == len(frames):
        return "".join(body)
    total = sum(shot.seconds for shot in frames)
    times, values, at, before = ["0"], [], 0.0, None
    for number, shot in enumerate(frames):
        shown = number in numbers
        if before is None:
            values.append(_VALUES[shown])
        elif shown != before:
            times.append(f"{at / total:.4f}".rstrip("0"))
            values.append(_VALUES[shown])
        before = shown
        at += shot.seconds
    return (
        f'<g visibility="{_VALUES[still in numbers]}"><animate attributeName="visibility" '
        f'calcMode="discrete" dur="{total:g}s" repeatCount="indefinite" '
        f'keyTimes="{";".join(times)}" values="{";".join(values)}"/>{"".join(body)}</g>'
    )


_VALUES = {True: "visible", False: "hidden"}
