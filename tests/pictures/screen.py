"""A captured screen as lines of runs: each some text in one style, at a column."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from msgspec import Struct
from rich.cells import cell_len
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

BACKGROUND = "#0d1117"
FOREGROUND = "#d1d7e0"
THEME = TerminalTheme(
    (13, 17, 23),
    (209, 215, 224),
    [
        *((33, 38, 45), (255, 123, 114), (63, 185, 80), (227, 179, 65)),
        *((108, 182, 255), (210, 168, 255), (86, 211, 218), (209, 215, 224)),
    ],
    [
        *((110, 118, 129), (255, 161, 152), (86, 211, 100), (242, 204, 96)),
        *((150, 208, 255), (226, 197, 255), (130, 229, 234), (255, 255, 255)),
    ],
)


class Run(Struct, frozen=True):
    """`columns` is the width on the screen, where a character can take two columns."""

    column: int
    columns: int
    text: str
    colour: str = FOREGROUND
    background: str = BACKGROUND
    bold: bool = False
    underlined: bool = False


Line = tuple[Run, ...]


class Screen(Struct, frozen=True):
    """`cursor` is its column and line, counted from 0."""

    lines: tuple[Line, ...]
    cursor: tuple[int, int] | None = None


def read(painted: str, cursor: tuple[int, int] | None = None) -> Screen:
    """What `tmux capture-pane -e -p` has printed."""
    text = Text.from_ansi(painted.rstrip("\n"))
    return Screen(tuple(tuple(_runs(line)) for line in text.split(allow_blank=True)), cursor)


def _runs(line: Text) -> Iterator[Run]:
    """Without the blanks that show nothing."""
    column = 0
    for segment in line.render(_console()):
        columns = cell_len(segment.text)
        run = _run(column, columns, segment.text, segment.style or Style.null())
        column += columns
        if run.text.strip() or run.background != BACKGROUND or run.underlined:
            yield run


def _run(column: int, columns: int, text: str, style: Style) -> Run:
    colour = _hex(style.color, foreground=True)
    background = _hex(style.bgcolor, foreground=False)
    if style.reverse:
        colour, background = background, colour
    return Run(column, columns, text, colour, background, bool(style.bold), bool(style.underline))


def _hex(colour: Color | None, *, foreground: bool) -> str:
    chosen = colour or Color.default()
    return chosen.get_truecolor(THEME, foreground=foreground).hex


@cache
def _console() -> Console:
    return Console(width=1000, color_system="truecolor")
