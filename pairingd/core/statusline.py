"""What tmux's status line says of the guests: its text, and the formats that choose it.

Tmux expands formats (tmux(1), FORMATS) and draws styles (STYLES) in all that it is given here. A
guest's name is neither: its `#` is doubled, and what a terminal would act on is replaced.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

# Of a client, and the columns that our part takes at most where it has that many.
WIDTHS = {"wide": (120, 60), "medium": (80, 38), "narrow": (0, 26)}
LEFT_COLUMNS = 19  # for the session's name and one window beside our part and the user's
NEWS_COLUMNS = {"wide": 100, "medium": 70, "narrow": 48}
MAX_RIGHT = 100  # columns of our part

LINE = "@pairing-line-"
NEWS = "@pairing-news"
THEIRS = "@pairing-theirs"
_PLAIN_NAME = re.compile(r"[\w/.:-]+", re.ASCII)
_LAST_MINUTES = ((60, "red"), (300, "yellow"))  # below so many seconds, this colour
_LONG_NAME, _SHORT_NAME = 16, 8
_ACCESS = {"write": "rw", "read": "ro"}
_ACTS = re.compile(r"[^\w .:@/+~()*…<·-]")  # what a shell's prompt or a status bar may act on


class Entry(Struct, frozen=True):
    """One guest. `left` is in seconds; `inside`: in the session; `typed`: was the last to type."""

    guest: str
    access: str
    left: float
    inside: bool
    typed: bool = False


def lines(entries: Iterable[Entry]) -> dict[str, str]:
    """The line for each of WIDTHS: first those who are in, else in the given order."""
    order = _ordered(entries)
    return {size: _line(order, columns, _painted) for size, (_, columns) in WIDTHS.items()}


def for_prompt(entries: Iterable[Entry]) -> str:
    """The line without styles and formats; "" where there is nobody."""
    return _line(_ordered(entries), WIDTHS["wide"][1], lambda _, text: _ACTS.sub("?", text))


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda one: not one.inside)


def _line(order: list[Entry], columns: int, paint: Callable[[Entry, str], str]) -> str:
    shown: list[str] = []
    used = 0
    longest = _LONG_NAME if columns >= 2 * _LONG_NAME else _SHORT_NAME
    for place, one in enumerate(order):
        text = _entry(one, longest)
        rest = len(order) - place - 1
        room = columns - (len(f" +{rest}") if rest else 0)
        width = len(text) + (3 if shown else 0)
        if used + width > room:
            return " · ".join(shown) + f" +{rest + 1}"
        used += width
        shown.append(paint(one, text))
    return " · ".join(shown)


def _entry(one: Entry, longest: int) -> str:
    text = f"{short_name(one.guest, longest)} {_ACCESS[one.access]} {time_left(one.left)}"
    if not one.inside:
        return f"({text})"
    return f"*{text}" if one.typed else text


def _painted(one: Entry, text: str) -> str:
    plain = text.replace("#", "##")
    colour = next((name for below, name in _LAST_MINUTES if one.left <= below), "")
    return f"#[fg={colour}]{plain}#[default]" if colour else plain


def short_name(guest: str, longest: int) -> str:
    """The guest's name, each of its characters one column wide, at most `longest`."""
    name = guest.removeprefix("github:")
    if "/" in name:  # a path or a URL: its end says more
        name = name.rstrip("/").rpartition("/")[2] or name
    fit = "".join(c if _is_one_column(c) else "?" for c in name)
    return fit if len(fit) <= longest else f"{fit[: longest - 1]}…"


def _is_one_column(char: str) -> bool:
    return (
        char.isprintable()
        and not unicodedata.combining(char)
        and unicodedata.east_asian_width(char) not in "WF"
    )


def time_left(seconds: float) -> str:
    """At most six columns: `1d3h`, `1h12m`, `4m`, `<1m`."""
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


def news(texts: Mapping[str, Iterable[str]]) -> str:
    """A format: for a client that is named in `texts` what it is told, the newest first."""
    by_text: dict[str, list[str]] = {}
    for client, told in texts.items():
        if _PLAIN_NAME.fullmatch(client):
            by_text.setdefault(" · ".join(told), []).append(client)
    return "".join(
        f"#{{?#{{m:* #{{client_name}} *, {' '.join(clients)} }},{_in_format(text)},}}"
        for text, clients in by_text.items()
        if text
    )


def _in_format(text: str) -> str:
    """`text` as a branch of a conditional that yields just it."""
    fit = "".join(c if _is_one_column(c) else "?" for c in text)
    return re.sub(r"[#,}]", r"#\g<0>", fit)


def status_right(theirs_columns: int) -> str:
    """The option's value: news, or else the line; and the user's own, where there is room."""
    theirs = f"#{{={theirs_columns};T:{THEIRS}}}"
    parts = {}
    for size in WIDTHS:
        line = f"{LINE}{size}"
        width = f"#{{e|+:#{{w:{line}}},#{{w;={theirs_columns};T:{THEIRS}}}}}"
        fits = f"#{{e|<=:#{{e|+:{width},{LEFT_COLUMNS}}},#{{client_width}}}}"
        told = f"#{{={NEWS_COLUMNS[size]};E:{NEWS}}}"
        parts[size] = f"#{{?#{{E:{NEWS}}},{told},#{{{line}}}#{{?{fits}, {theirs},}}}}"
    choice = parts["narrow"]
    for size in ("medium", "wide"):
        enough = f"#{{e|>=:#{{client_width}},{WIDTHS[size][0]}}}"
        choice = f"#{{?{enough},{parts[size]},{choice}}}"
    return choice


class Found(Struct, frozen=True):
    """Values of tmux's: of the session (None: it has none of its own), and for all sessions.

    `set_to` is what we have set the session's to last, and `theirs` what it had itself before; ""
    and None where we have set nothing.
    """

    own: str | None
    for_all: str
    set_to: str
    theirs: str | None

    def users(self) -> str | None:
        """What the user wants for the session, None for what holds for all sessions."""
        if self.own is None:
            return None
        if not self.set_to:
            return self.own
        if self.own == self.set_to:
            return self.theirs
        # With `set-option -a` ours is a part of theirs.
        old = self.for_all if self.theirs is None else self.theirs
        return self.own.replace(self.set_to, old)
