"""Sessions in state.db: a row for each, and a row for each of its invitations, so that a change of
one invitation writes one row, however many others there are.

Functions that read raise ValueError if a row is damaged or missing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from pairingd.core.model import Invitation, Session
from pairingd.core.records import replace
from pairingd.state.rows import as_json, checksum_of, read

_SELECT = "SELECT id, invitations, body, checksum FROM session"


def last(database: sqlite3.Connection) -> Session | None:
    """Return the session that began last."""
    return _read(database, database.execute(f"{_SELECT} ORDER BY number DESC LIMIT 1").fetchone())


def by_id(database: sqlite3.Connection, session_id: str) -> Session | None:
    return _read(database, database.execute(f"{_SELECT} WHERE id = ?", (session_id,)).fetchone())


def unread(
    database: sqlite3.Connection, session_id: str
) -> tuple[Session, Iterator[Invitation]] | None:
    """Return the session without its invitations, and these, each of which is read when it is
    taken.
    """
    return _unread(database, database.execute(f"{_SELECT} WHERE id = ?", (session_id,)).fetchone())


def every(database: sqlite3.Connection) -> Iterator[Session]:
    """Read all sessions, oldest first."""
    for row in database.execute(f"{_SELECT} ORDER BY number").fetchall():
        if session := _read(database, row):
            yield session


def write(database: sqlite3.Connection, session: Session, saved: Session | None) -> None:
    """Write what differs from `saved`, which is on disk."""
    before = saved.invitations if saved and saved.id == session.id else ()
    changed = [
        (number, invitation)
        for number, invitation in enumerate(session.invitations)
        if number >= len(before) or invitation is not before[number]
    ]
    database.executemany(
        "INSERT OR REPLACE INTO invitation (session, number, body, checksum) VALUES (?, ?, ?, ?)",
        [
            _row("invitation", session.id, number, as_json(invitation))
            for number, invitation in changed
        ],
    )
    body = as_json(replace(session, invitations=()))
    database.execute(
        "INSERT INTO session (id, invitations, body, checksum) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET invitations = excluded.invitations,"
        " body = excluded.body, checksum = excluded.checksum",
        _row("session", session.id, len(session.invitations), body),
    )


def forget(database: sqlite3.Connection, kept: int) -> None:
    """Delete all but the `kept` sessions that began last."""
    database.execute(
        "DELETE FROM session WHERE number <= (SELECT max(number) FROM session) - ?", (kept,)
    )
    database.execute("DELETE FROM invitation WHERE session NOT IN (SELECT id FROM session)")


def divide(database: sqlite3.Connection) -> None:
    """Move the invitations of sessions that were saved as a whole into rows of their own."""
    for session in whole(database):
        write(database, session, None)


def whole(database: sqlite3.Connection) -> list[Session]:
    """Read the sessions of the schema before this one, oldest first."""
    rows = database.execute("SELECT id, body, checksum FROM session ORDER BY number").fetchall()
    return [read(Session, "session", *row) for row in rows]


def _row(table: str, session_id: str, number: int, body: str) -> tuple[str, int, str, str]:
    return session_id, number, body, checksum_of(table, session_id, number, body)


def _read(database: sqlite3.Connection, row: tuple[str, int, str, str] | None) -> Session | None:
    if (stored := _unread(database, row)) is None:
        return None
    session, invitations = stored
    return replace(session, invitations=tuple(invitations))


def _unread(
    database: sqlite3.Connection, row: tuple[str, int, str, str] | None
) -> tuple[Session, Iterator[Invitation]] | None:
    if row is None:
        return None
    session = read(Session, "session", *row)
    session_id, count, *_ = row
    rows = database.execute(
        "SELECT session, number, body, checksum FROM invitation WHERE session = ? ORDER BY number",
        (session_id,),
    ).fetchall()
    if [number for _, number, *_ in rows] != list(range(count)):
        raise ValueError(f"invitations of the session {session_id!r} are missing")
    return session, (read(Invitation, "invitation", *row) for row in rows)
