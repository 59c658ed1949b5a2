"""Columns: a label, and the text beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.text.output import WIDTH
from pairingd.core.text import columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pairctl.text.output import View

LABEL = 10  # columns of the first column
ROOM = WIDTH - LABEL


def row(label: str, lines: Iterable[str], view: View) -> list[str]:
    labels = iter([view.dim(f"{label:<{LABEL}}")])
    return [next(labels, " " * LABEL) + line for line in lines]


def fitted(name: str, about: str, room: int, view: View) -> Iterator[str]:
    """On one line, or on two if the name is too long."""
    if columns(name) + 2 + len(about) <= room:
        yield f"{view.bold(name)}  {about}"
    else:
        yield view.bold(view.crop(name, room))
        yield f"  {about}"


def wrapped(lead: str, text: str, room: int) -> list[str]:
    """`lead` is short and already painted: the text is broken as if it had ten columns. Not for a
    hint: a command in it must stay whole, so that its copy runs.
    """
    from textwrap import wrap  # late: JSON output does not need it

    lines = wrap(text, room - LABEL, break_long_words=False, break_on_hyphens=False) or [""]
    return [lead + lines[0], *(f"  {line}" for line in lines[1:])]
