"""The schema of state.db, its migrations, and the checksum of each row."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from pairingd import strict
from pairingd.core.model import Session, State
from pairingd.errors import Misconfigured
from pairingd.live import Live

T = TypeVar("T")

# One entry a version: the statements that migrate the version before. Never edit an entry that
# was released; add one. tests/data holds a database of each version that must load forever.
MIGRATIONS = (
    """
    CREATE TABLE session (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
    CREATE TABLE mapping (id TEXT PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE process (pid INTEGER PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        session TEXT,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        data TEXT NOT NULL
    );
    CREATE INDEX event_by_session ON event (session, id);
    CREATE INDEX event_by_kind ON event (kind, id);
    """,
    # Also makes the marks of live invitations; see migrate().
    """
    ALTER TABLE session ADD COLUMN checksum TEXT NOT NULL DEFAULT '';
    ALTER TABLE mapping ADD COLUMN checksum TEXT NOT NULL DEFAULT '';
    ALTER TABLE process ADD COLUMN checksum TEXT NOT NULL DEFAULT '';
    ALTER TABLE event ADD COLUMN checksum TEXT NOT NULL DEFAULT '';
    UPDATE session SET checksum = checksum_of('session', id, body);
    UPDATE mapping SET checksum = checksum_of('mapping', id, body);
    UPDATE process SET checksum = checksum_of('process', pid, body);
    UPDATE event SET checksum = checksum_of('event', at, session, kind, text, data);
    """,
    # Invitations have conditions. A version that ignores them would let guests in on better
    # terms, so it must refuse the file.
    "",
    """
    CREATE TABLE router (id TEXT PRIMARY KEY, honours INTEGER NOT NULL, checksum TEXT NOT NULL);
    """,
)
_FIRST_MARKS_VERSION = 2  # from this version on no invitation is live without a mark


def migrate(database: sqlite3.Connection, path: Path, live: Live | None) -> None:
    """Migrate to the newest schema, in place. `live` None: this is a copy, which makes no marks.

    Raises Misconfigured `state-newer`, with `path` as the name of the database.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Misconfigured(
            "state-newer",
            f"{path} was written by a newer pairingd (schema {version})",
            "upgrade pairing; this version leaves the file as it is",
        )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
        corrupt = sqlite3.DatabaseError("quick_check failed")
        corrupt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise corrupt
    database.create_function("checksum_of", -1, checksum_of, deterministic=True)
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN; {statements} PRAGMA user_version = {number};")
        if number == _FIRST_MARKS_VERSION and live:
            with live.made(saved_state(database).live):
                database.commit()
        database.commit()


def read(kind: type[T], table: str, key: str | int, body: str, checksum: str) -> T:
    """Return the record in `body`, without members that only a later version knows.

    Raises ValueError if the record is damaged.
    """
    if checksum != checksum_of(table, key, body):
        raise ValueError(f"the record {key!r} of {table} is damaged")
    return strict.read(kind, strict.from_json(body), passing_over=True)


def as_json(record: Struct) -> str:
    """Return `record` as `read` takes it."""
    return msgspec.json.encode(record).decode()


def saved_state(database: sqlite3.Connection) -> State:
    """Return the intent as saved last. Raises ValueError if it is damaged."""
    row = database.execute(
        "SELECT id, body, checksum FROM session ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return State(read(Session, "session", *row) if row else None)


def checksum_of(*row: object) -> str:
    """Return a checksum of table, key and content. It is no seal: anybody can compute it."""
    return hashlib.sha256(ascii(row).encode()).hexdigest()[:16]


def as_text(stored: bytes) -> str:
    """Replace bytes that are not UTF-8; the checksum then shows the damage."""
    return stored.decode(errors="replace")
