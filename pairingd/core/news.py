"""Messages in tmux's status line: a format that shows each client its own, in a form that fits.

A message is given in forms, the longest first. A client shows the first one that it has room for
beside tmux's own `[pairing] ` and, from 60 columns on, one window's name; or the last one, cut on
the right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pairingd.core.text import is_one_column

NEWS = "@pairing-news"
PERCENT = "@pairing-percent"  # tmux expands strftime(3) in a format once for each of its levels
GUESTS = "@pairing-guests"  # the names of the guests' clients, with spaces around each
LONG_NAME_COLUMNS = 16

_WINDOW_FROM = 60
_SESSION = 10  # columns of tmux's own `[pairing] `
_BESIDE, _BESIDE_WITH_WINDOW = _SESSION + 2, _SESSION + 11  # with a space and the mark of a cut
_PLAIN_NAME = re.compile(r"[\w/.:-]+", re.ASCII)

Forms = tuple[str, ...]


class _Line(NamedTuple):
    """`rest` follows the form that is shown."""

    forms: Forms
    rest: str = ""


def message() -> str:
    """Return the format of the client's message, with a space before it. On a narrow client it is
    padded, so that no piece of a window's name is left.
    """
    narrow = f"#{{e|<:#{{client_width}},{_WINDOW_FROM}}}"
    room = f"#{{e|-:#{{client_width}},#{{?{narrow},{_BESIDE},{_BESIDE_WITH_WINDOW}}}}}"
    padding = f"#{{?{narrow},-#{{e|-:#{{client_width}},{_SESSION}}},0}}"
    return f"#{{p/{padding}/: #{{=/{room}/…:#{{E:{NEWS}}}}}}}"


def for_host(text: str) -> str:
    """Return a message to the host as it is where there is room."""
    return f"pairing: {text}"


def news(
    hosts: Mapping[str, Sequence[Forms]],
    guests: Mapping[str, Forms],
    questions: Sequence[Forms] = (),
) -> str:
    """Return the value of NEWS. `hosts` and `guests` have the messages by the name of a client, the
    newest first; `questions` are for all of the host's.
    """
    named: dict[_Line, list[str]] = {}
    for client, messages in hosts.items():
        named.setdefault(_host_line((*questions, *messages)), []).append(client)
    for client, forms in guests.items():
        named.setdefault(_Line(forms), []).append(client)
    plain = {line: [*filter(_PLAIN_NAME.fullmatch, clients)] for line, clients in named.items()}
    parts = [
        f"#{{?{_is_among(' '.join(clients))},{_fitting(line)},}}"
        for line, clients in plain.items()
        if clients
    ]
    if questions:
        have_their_own = _is_among(" ".join(name for names in plain.values() for name in names))
        others = f"#{{||:{have_their_own},#{{m:* #{{client_name}} *,#{{{GUESTS}}}}}}}"
        parts.append(f"#{{?{others},,{_fitting(_host_line(questions))}}}")
    return "".join(parts)


def _host_line(messages: Sequence[Forms]) -> _Line:
    first, *others = messages
    bare = first[-1].removeprefix("github:")
    name, *rest = re.split(r"(?=:? )", bare, maxsplit=1)
    short = "".join([short_name(name, LONG_NAME_COLUMNS), *rest])
    forms = (*map(for_host, first), bare, *([short] if short != bare else []))
    return _Line(forms, "".join(f" · {other[0]}" for other in others))


def short_name(guest: str, longest: int) -> str:
    """Return the guest's name in at most `longest` characters of one column each."""
    fit = "".join(c if is_one_column(c) else "?" for c in distinct_part(guest))
    return fit if len(fit) <= longest else f"{fit[: longest - 1]}…"


def distinct_part(guest: str) -> str:
    """Return what of the guest's name tells them apart from others."""
    name = guest.removeprefix("github:")
    if name.startswith("key:"):
        return f"key:{name.removeprefix('key:SHA256:')}"
    if "/" in name:  # a path or a URL: its end says more
        return name.rstrip("/").rpartition("/")[2] or name
    return name


def _is_among(clients: str) -> str:
    return f"#{{m:* #{{client_name}} *, {clients} }}"


def _fitting(line: _Line) -> str:
    *longer, last = line.forms
    chosen = _in_format(last)
    for form in reversed(longer):
        enough = f"#{{e|>=:#{{client_width}},{_needed_columns(len(form))}}}"
        chosen = f"#{{?{enough},{_in_format(form)},{chosen}}}"
    return chosen + _in_format(line.rest)


def _needed_columns(length: int) -> int:
    """Return the width of a client from which a text of that length fits."""
    fits_without_window = length <= _WINDOW_FROM - _BESIDE_WITH_WINDOW
    return length + (_BESIDE if fits_without_window else _BESIDE_WITH_WINDOW)


def _in_format(text: str) -> str:
    """Escape `text` as a branch of a conditional."""
    fit = "".join(c if is_one_column(c) else "?" for c in text)
    return re.sub(r"[#,}]", r"#\g<0>", fit).replace("%", f"#{{{PERCENT}}}")
