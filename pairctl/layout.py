"""Columns: a label, and the text beside it."""

from __future__ import annotations

from pairctl.output import WIDTH

LABEL = 10  # columns of the first column
ROOM = WIDTH - LABEL


def wrapped(lead: str, text: str, room: int) -> list[str]:
    """`lead` is short and already painted: the text is broken as if it had ten columns."""
    from textwrap import wrap  # late: JSON output does not need it

    lines = wrap(text, room - LABEL, break_long_words=False, break_on_hyphens=False) or [""]
    return [lead + lines[0], *(f"  {line}" for line in lines[1:])]
