"""Columns: a label, and what is said beside it."""

from __future__ import annotations

from pairctl.output import WIDTH

LABEL = 10  # columns of the first column
ROOM = WIDTH - LABEL


def wrapped(lead: str, text: str, room: int) -> list[str]:
    """`lead` is painted already and short: the text is broken as if it had ten columns."""
    from textwrap import wrap  # late: what prints JSON does without it

    lines = wrap(text, room - LABEL, break_long_words=False, break_on_hyphens=False) or [""]
    return [lead + lines[0], *(f"  {line}" for line in lines[1:])]
