"""Redraws a text on a terminal's alternate screen: ECMA-48 and xterm's ctlseqs."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pairctl.text import output
from pairingd.core import text

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen; no cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"
_CLEAR = "\x1b[H\x1b[J"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def alternate() -> Iterator[None]:
    """Switch to the alternate screen, and back afterwards."""
    output.write(_ENTER, end="")
    try:
        yield
    finally:
        output.write(_LEAVE, end="")


def draw(content: str) -> None:
    """Draw from the top, in one write; the last row says how many lines do not fit."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    lines = cut(content.splitlines(), columns, rows)
    output.write(_CLEAR + "\r\n".join(lines), end="")


def cut(lines: list[str], columns: int, rows: int) -> list[str]:
    """`lines` if they fit; else as many as fit, and one that counts the others."""
    if fitting(lines, columns, rows) == lines:
        return lines
    shown = fitting(lines, columns, rows - 1)
    left = len(lines) - len(shown)
    return [*shown, f"({left} more line{'' if left == 1 else 's'})"[: max(0, columns)]]


def fitting(lines: list[str], columns: int, rows: int) -> list[str]:
    """The first of `lines` that fit into `rows`; a long line takes several rows."""
    for count, line in enumerate(lines):
        rows -= max(1, -(-text.columns(_COLOUR.sub("", line)) // max(1, columns)))
        if rows < 0:
            return lines[:count]
    return lines
