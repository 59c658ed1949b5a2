"""The schema of state.db, and its migrations."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from pairingd.core.model import State
from pairingd.errors import Misconfigured
from pairingd.state import sessions
from pairingd.state.live import Live
from pairingd.state.rows import checksum_of

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
    # Also moves the invitations out of the sessions; see migrate().
    """
    CREATE TABLE invitation (
        session TEXT NOT NULL,
        number INTEGER NOT NULL,
        body TEXT NOT NULL,
        checksum TEXT NOT NULL,
        PRIMARY KEY (session, number)
    ) WITHOUT ROWID;
    ALTER TABLE session ADD COLUMN invitations INTEGER NOT NULL DEFAULT 0;
    """,
)
TABLES = ("session", "invitation", "mapping", "process", "event", "router")  # each has checksums
_FIRST_MARKS_VERSION = 2  # from this version on no invitation is live without a mark
_FIRST_ROWS_VERSION = 5  # from this version on invitations have rows of their own


def require_known(path: Path) -> None:
    """Raise Misconfigured `state-newer` as `migrate` would. A database that cannot be read now, or
    is absent, passes. Changes nothing.
    """
    with suppress(sqlite3.Error), closing(read_only(path)) as database:
        _known_version(database, path)


def read_only(path: Path) -> sqlite3.Connection:
    """Open the database `path`. Makes no -wal and no -shm, which a full disk would keep."""
    with suppress(OSError):
        if path.with_name(f"{path.name}-wal").stat().st_size:
            return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    return sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)


def _known_version(database: sqlite3.Connection, path: Path) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Misconfigured(
            "state-newer",
            f"{path} was written by a newer pairingd (schema {version})",
            "upgrade pairing; this version leaves the file as it is",
        )
    return int(version)


def migrate(database: sqlite3.Connection, path: Path, live: Live | None) -> None:
    """Migrate to the newest schema, in place. `live` None: this is a copy, which makes no marks.

    Raises Misconfigured `state-newer`, with `path` as the name of the database.
    """
    version = _known_version(database, path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA fullfsync = 1")  # macOS: see pairingd.home.disk
    if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
        corrupt = sqlite3.DatabaseError("quick_check failed")
        corrupt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise corrupt
    database.create_function("checksum_of", -1, checksum_of, deterministic=True)
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN; {statements} PRAGMA user_version = {number};")
        if number == _FIRST_MARKS_VERSION and live:
            *_, newest = None, *sessions.whole(database)
            with live.made(State(newest).live):
                database.commit()
        if number == _FIRST_ROWS_VERSION:
            sessions.divide(database)
        database.commit()
