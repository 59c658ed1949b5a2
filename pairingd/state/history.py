"""The history in state.db: a row for each event.

A damaged line stays a line, because something has happened there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from pairingd.state.rows import checksum_of

KEPT_EVENTS = 5000  # of each kind, so that refused logins cannot push out the visits
# Of one kind the oldest of what came most often in one session: of one guest from one address, so
# that a guest who comes and goes without end cannot push out other visits.
_FORGET_EVENTS = """
DELETE FROM event WHERE id IN (
    SELECT id FROM (
        SELECT id,
            row_number() OVER (PARTITION BY session, invitation, peer ORDER BY id DESC) AS same,
            row_number() OVER (PARTITION BY session ORDER BY id DESC) AS in_session
        FROM (
            SELECT id, session, json_extract(whole, '$.invitation') AS invitation,
                json_extract(whole, '$.peer') AS peer
            FROM (SELECT *, iif(json_valid(data), data, '{}') AS whole FROM event WHERE kind = ?1)
        )
    ) ORDER BY same DESC, in_session DESC, id LIMIT ?2
)
"""
_SELECT = "SELECT id, at, session, kind, text, data, checksum FROM event"

Line = tuple[float, str | None, str, str, dict[str, Any]]  # `at` to `data` of a Happening


class Happening(Struct, frozen=True):
    """One event of the history, as stored. `at` is wall-clock seconds."""

    id: int
    at: float
    session: str | None
    kind: str
    text: str
    data: dict[str, Any]


def add(database: sqlite3.Connection, line: Line) -> Happening:
    at, session, kind, text, data = line
    row = (float(at), session, kind, text, json.dumps(data))
    number = database.execute(
        "INSERT INTO event (at, session, kind, text, data, checksum) VALUES (?, ?, ?, ?, ?, ?)",
        (*row, checksum_of("event", *row)),
    ).lastrowid
    return Happening(number or 0, at, session, kind, text, data)


def forget(database: sqlite3.Connection, kind: str) -> None:
    """Forget those of one kind beyond KEPT_EVENTS."""
    query = "SELECT count(*) FROM event WHERE kind = ?"
    (number,) = database.execute(query, (kind,)).fetchone()
    if number > KEPT_EVENTS + KEPT_EVENTS // 20:  # not each time: it sorts all of them
        database.execute(_FORGET_EVENTS, (kind, number - KEPT_EVENTS))


def newest(database: sqlite3.Connection, after: int, limit: int) -> Iterator[Happening]:
    rows = database.execute(
        f"{_SELECT} WHERE id > ? ORDER BY id DESC LIMIT ?", (after, limit)
    ).fetchall()
    return _happenings(reversed(rows))


def of_session(database: sqlite3.Connection, session: str) -> Iterator[Happening]:
    rows = database.execute(f"{_SELECT} WHERE session = ? ORDER BY id", (session,)).fetchall()
    return _happenings(rows)


def _happenings(rows: Iterable[tuple[Any, ...]]) -> Iterator[Happening]:
    for number, *row, checksum in rows:
        at, session, kind, text, data = row
        if checksum == checksum_of("event", *row):
            yield Happening(number, at, session, kind, text, json.loads(data))
        else:
            yield Happening(number, 0.0, None, "damaged", "this line of the history is damaged", {})
