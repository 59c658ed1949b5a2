"""The guests in tmux's status line: the text, and the formats that choose it.

Tmux expands formats (tmux(1), FORMATS) and draws styles (STYLES) in every text from here. In a
guest's name `#` is therefore doubled, and characters that a terminal would act on are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pairingd.core.news import LONG_NAME_COLUMNS, NEWS, message, short_name

# Columns of a client from which the size applies, and the most that our part then takes.
WIDTHS = {"wide": (120, 60), "medium": (80, 38), "narrow": (0, 26)}
LEFT_COLUMNS = 19  # for the session's name and one window beside our part and the user's
MAX_RIGHT = 300  # columns of our part; what pairing says to a host is shorter

LINE = "@pairing-line-"
THEIRS = "@pairing-theirs"
_LAST_MINUTE_S = 60
_COLOURS = ((_LAST_MINUTE_S, "red"), (300, "yellow"))  # up to so many seconds, this colour
_SHORT_NAME_COLUMNS = 8
SHORT_ACCESS = {"write": "rw", "read": "ro"}
_UNSAFE = re.compile(r"[^\w .:@/+~()*…<·-]")  # what a shell's prompt or a status bar may act on


class Entry(NamedTuple):
    """One guest. `left` is in seconds; `inside`: in the session; `typed`: typed last; `opens`: the
    time from which a scheduled invitation holds.
    """

    guest: str
    access: str
    left: float
    inside: bool
    typed: bool = False
    opens: str = ""


def lines(entries: Iterable[Entry], more: int = 0) -> dict[str, str]:
    """Return the line for each of WIDTHS: the guests by `rank`, else in the given order, and the
    number of those that have no room, with `more` that are not among `entries`.
    """
    order = _ordered(entries)
    return {size: _line(order, columns, _painted, more) for size, (_, columns) in WIDTHS.items()}


def for_prompt(entries: Iterable[Entry]) -> str:
    """Return the line without styles and formats; "" without guests."""
    return _line(_ordered(entries), WIDTHS["wide"][1], lambda _, text: _UNSAFE.sub("?", text))


def rank(left: float, *, inside: bool) -> tuple[bool, bool]:
    """Return what to sort guests by, so that many others hide none who is about to be cut."""
    return not inside, left > _LAST_MINUTE_S


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: rank(entry.left, inside=entry.inside))


def _line(
    order: list[Entry], columns: int, paint: Callable[[Entry, str], str], more: int = 0
) -> str:
    shown: list[str] = []
    used = 0
    longest = LONG_NAME_COLUMNS if columns >= 2 * LONG_NAME_COLUMNS else _SHORT_NAME_COLUMNS
    for place, entry in enumerate(order):
        text = _entry(entry, longest)
        rest = len(order) - place - 1 + more
        room = columns - (len(f" +{rest}") if rest else 0)
        width = len(text) + (3 if shown else 0)
        if used + width > room:
            return " · ".join(shown) + f" +{rest + 1}"
        used += width
        shown.append(paint(entry, text))
    return " · ".join(shown) + (f" +{more}" if more else "")


def _entry(entry: Entry, longest: int) -> str:
    when = f"from {entry.opens}" if entry.opens else time_left(entry.left)
    text = f"{short_name(entry.guest, longest)} {SHORT_ACCESS[entry.access]} {when}"
    if not entry.inside:
        return f"({text})"
    return f"*{text}" if entry.typed else text


def _painted(entry: Entry, text: str) -> str:
    plain = text.replace("#", "##")
    colour = next((name for below, name in _COLOURS if entry.left <= below), "")
    return f"#[fg={colour}]{plain}#[default]" if colour else plain


def time_left(seconds: float) -> str:
    """Format in at most six columns: `1d3h`, `1h12m`, `4m`, `<1m`."""
    minutes = int(max(seconds, 0)) // 60
    if minutes < 1:
        return "<1m"
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h" if hours and days < 100 else f"{days}d"


def status_right(user_columns: int) -> str:
    """Return the option's value: news, or else the line; and the user's own, if there is room."""
    user = f"#{{={user_columns};T:{THEIRS}}}"
    parts = {}
    for size in WIDTHS:
        line = f"{LINE}{size}"
        width = f"#{{e|+:#{{w:{line}}},#{{w;={user_columns};T:{THEIRS}}}}}"
        fits = f"#{{e|<=:#{{e|+:{width},{LEFT_COLUMNS}}},#{{client_width}}}}"
        parts[size] = f"#{{{line}}}#{{?{fits}, {user},}}"
    choice = parts["narrow"]
    for size in ("medium", "wide"):
        enough = f"#{{e|>=:#{{client_width}},{WIDTHS[size][0]}}}"
        choice = f"#{{?{enough},{parts[size]},{choice}}}"
    return f"#{{?#{{E:{NEWS}}},{message()},{choice}}}"


class OptionValues(NamedTuple):
    """A tmux option: `own` is the session's value, None for none, `for_all` the global value.

    `set_to` is the value that we set last for the session, `saved` its own value before; "" and
    None if we have set nothing.
    """

    own: str | None
    for_all: str
    set_to: str
    saved: str | None

    def users(self) -> str | None:
        """Return the user's value for the session, None for the global one."""
        if self.own is None:
            return None
        if not self.set_to:
            return self.own
        if self.own == self.set_to:
            return self.saved
        # After `set-option -a` our value is a part of the user's.
        old = self.for_all if self.saved is None else self.saved
        return self.own.replace(self.set_to, old, 1)  # all of them could take gigabytes
