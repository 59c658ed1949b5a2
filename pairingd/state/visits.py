"""Visits, read from the history: `joined` begins a visit, `left` ends it.

`denied` is a visit that did not happen: the host refused it, or nobody answered.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

from pairingd.core import causes, strict
from pairingd.core.model import Cause
from pairingd.core.records import replace
from pairingd.state.history import Happening

log = logging.getLogger(__name__)
T = TypeVar("T")


class Joined(Struct, frozen=True):
    """The data of a line `joined`, and of a line `denied`, which also has `about`, as Left."""

    invitation: str
    guest: str
    peer: str
    fingerprint: str
    pid: int


class Left(Struct, frozen=True):
    """The data of a line `left`. `why` is a Cause, `about` its text. `typed_at` is when they typed
    last, in RFC 3339, None if they did not.
    """

    invitation: str
    guest: str
    peer: str
    pid: int
    why: str
    about: str = ""
    typed_at: str | None = None


class Visit(Struct, frozen=True):
    """One connection that got in. `until`, `why` and `about` are None while it lasts; `typed_at` is
    set afterwards.
    """

    joined: Joined
    since: float
    until: float | None = None
    why: Cause | None = None
    about: str | None = None
    typed_at: str | None = None

    def left(self, cause: Cause, typed_at: str | None) -> Left:
        joined = self.joined
        return Left(
            joined.invitation,
            joined.guest,
            joined.peer,
            joined.pid,
            cause.value,
            causes.WORDS[cause],
            typed_at,
        )


def visits(history: Iterable[Happening]) -> list[Visit]:
    """Return the visits in the order of their start."""
    all_visits: list[Visit] = []
    under_way: dict[int, int] = {}  # by pid, the index in `all_visits`
    for line in history:
        if line.kind == "joined" and (joined := _data(Joined, line)):
            under_way[joined.pid] = len(all_visits)
            all_visits.append(Visit(joined, line.at))
        elif line.kind == "left" and (left := _data(Left, line)) and left.pid in under_way:
            index = under_way.pop(left.pid)
            all_visits[index] = replace(
                all_visits[index],
                until=line.at,
                why=causes.read(left.why),
                about=left.about or left.why,
                typed_at=left.typed_at,
            )
        elif line.kind == "denied" and (denied := _data(Joined, line)):
            about = str(line.data.get("about", causes.WORDS[Cause.DENIED]))
            all_visits.append(Visit(denied, line.at, line.at, Cause.DENIED, about))
    return all_visits


def _data(kind: type[T], line: Happening) -> T | None:
    try:
        return strict.read(kind, line.data, passing_over=True)
    except strict.Unfit as unfit:
        log.warning("line %d of the history is not as pairingd writes it: %s", line.id, unfit)
        return None
