"""Redraws a text on a terminal's alternate screen: ECMA-48 and xterm's ctlseqs."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pairctl.text import output
from pairingd.core import text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen; no cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"
_CLEAR = "\x1b[H\x1b[J"
_UNKNOWN_ROWS = 24  # of a terminal that does not report its size, such as a serial line
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def alternate() -> Iterator[None]:
    """Switch to the alternate screen, and read keys one by one, without echo. All is as before
    afterwards, and while Ctrl-Z stops the program. Ctrl-C stays a signal: termios(3), cbreak mode.
    """
    modes = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None

    def enter() -> None:
        if modes:
            tty.setcbreak(sys.stdin)
        _send(_ENTER)

    def leave() -> None:
        _send(_LEAVE)
        if modes:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, modes)

    def suspend(number: int, _: FrameType | None) -> None:
        leave()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # returns when the shell has the program go on
        signal.signal(number, suspend)
        enter()

    before = signal.getsignal(signal.SIGTSTP)
    try:
        enter()
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, suspend)
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
        leave()


def _send(sequence: str) -> None:
    """Past the buffer, which a signal may have found in use. `draw` reports a terminal that takes
    nothing.
    """
    with suppress(OSError):
        os.write(sys.stdout.fileno(), sequence.encode())


def draw(content: str) -> None:
    """Draw from the top, in one write; the last row says how many lines do not fit."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    lines = cut(content.splitlines(), columns or output.WIDTH, rows or _UNKNOWN_ROWS)
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
