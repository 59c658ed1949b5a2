"""Terminals as SVG: plain shapes and text, a stack of monospace fonts, nothing from elsewhere.

Each run of text is stretched to its columns (textLength), because monospace fonts differ in width.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct
from rich.cells import cell_len

from tests.pictures.screen import BACKGROUND, FOREGROUND, Line, Run, Screen

CHAR, LINE = 8, 17  # pixels of one character
FONT_SIZE = 13.3
FONTS = "ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
_WORDS = re.compile(r"\S+(?: \S+)*")
BAR, MARGIN, GAP = 28, 12, 20
FRAME = "#6e7681"  # seen on a white page and on a black one


class Window(Struct, frozen=True):
    """A person's terminal, `columns` wide and `lines` high."""

    title: str
    columns: int
    lines: int

    @property
    def width(self) -> int:
        return self.columns * CHAR + 2 * MARGIN

    @property
    def height(self) -> int:
        return BAR + self.lines * LINE + 2 * MARGIN


def picture(about: str, windows: Sequence[tuple[Window, Screen]]) -> str:
    """The windows side by side. `about` is for those who cannot see them."""
    body = []
    for x, (window, screen) in zip(places([one for one, _ in windows]), windows, strict=True):
        inside = [*lines(screen), *cursor(screen.cursor)]
        body.append(f"{frame(window, x)}{within(x, inside)}")
    return document(about, *size([one for one, _ in windows]), body)


def document(about: str, width: int, height: int, body: Iterable[str]) -> str:
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label={quoteattr(about)}>'
    )
    style = f"<style>text{{font:{FONT_SIZE}px {FONTS}}}</style>"
    return "\n".join([root, f"<title>{escape(about)}</title>", style, *body, "</svg>\n"])


def places(windows: Sequence[Window]) -> list[int]:
    """The left edge of each."""
    return [sum(one.width + GAP for one in windows[:n]) for n in range(len(windows))]


def size(windows: Sequence[Window]) -> tuple[int, int]:
    width = sum(one.width for one in windows) + GAP * (len(windows) - 1)
    return width, max(one.height for one in windows)


def frame(window: Window, x: int) -> str:
    width, height = window.width, window.height
    return (
        f'<rect x="{x + 0.5}" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" '
        f'fill="{BACKGROUND}" stroke="{FRAME}"/>'
        f'<text x="{x + width // 2}" y="19" text-anchor="middle" fill="{FOREGROUND}" '
        f'font-weight="bold">{escape(window.title)}</text>'
        f'<path d="M{x} {BAR}h{width}" stroke="{FRAME}"/>'
    )


def within(x: int, body: Iterable[str]) -> str:
    """In a window's coordinates: its first character is at 0, 0."""
    return f'<g transform="translate({x + MARGIN},{BAR + MARGIN})">{"".join(body)}</g>'


def lines(screen: Screen) -> Iterator[str]:
    for number, line in enumerate(screen.lines):
        yield from runs(line, number)


def runs(line: Line, number: int) -> Iterator[str]:
    for run in line:
        if run.background != BACKGROUND:
            yield (
                f'<rect x="{run.column * CHAR}" y="{number * LINE}" '
                f'width="{run.columns * CHAR}" height="{LINE}" fill="{run.background}"/>'
            )
    for run in line:
        yield from _texts(run, number)


def cursor(place: tuple[int, int] | None) -> Iterator[str]:
    if place:
        column, line = place
        yield (
            f'<rect x="{column * CHAR}" y="{line * LINE}" width="{CHAR}" height="{LINE}" '
            f'fill="{FOREGROUND}" fill-opacity=".6"/>'
        )


def _texts(run: Run, number: int) -> Iterator[str]:
    """Apart where several blanks are between: renderers drop blanks, and those at the ends."""
    style = f' fill="{run.colour}"'
    style += ' font-weight="bold"' if run.bold else ""
    style += ' text-decoration="underline"' if run.underlined else ""
    for found in _WORDS.finditer(run.text):
        column = run.column + cell_len(run.text[: found.start()])
        yield (
            f'<text x="{column * CHAR}" y="{number * LINE + 13}" '
            f'textLength="{cell_len(found[0]) * CHAR}" lengthAdjust="spacingAndGlyphs"{style}>'
            f"{escape(found[0])}</text>"
        )
