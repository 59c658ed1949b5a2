"""SQLite: the intent, the journal of what outlives the process, and the history.

Every write is on the disk when the call returns (synchronous=FULL), so a reply sent afterwards
is a promise. What is stored is JSON of the core's own records, read back strictly.

A database of an older version is migrated; one of a newer version is refused untouched; one that
cannot be read is set aside, and the daemon starts with nothing wished, so with everything closed.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pairingd import strict
from pairingd.core.model import Mapping, Session, State
from pairingd.errors import Misconfigured, WorldError

log = logging.getLogger(__name__)
T = TypeVar("T")

# One entry a version: the statements that lead to it from the one before. Never edit an entry
# that was released; add one. tests/data holds a database of each version that must load forever.
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
)
_UNREADABLE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_PATIENCE = 0.2  # seconds for somebody else who has the database locked; the event loop stands
KEPT_EVENTS = 5000  # of each kind, so that strangers' knocking cannot push out who came
KEPT_SESSIONS = 200


@dataclass(frozen=True, slots=True)
class Process:
    """The journal's record of a connection's process; a pid alone may have been given again.

    `started` is in seconds since the boot whose id is `boot`. Empty: by the wall clock, as on macOS
    and in the records of schema 1.
    """

    pid: int
    started: float
    boot: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of the history, as stored. `at` is wall-clock seconds."""

    id: int
    at: float
    session: str | None
    kind: str
    text: str
    data: dict[str, Any]


class Store:
    """Open with `Store.open`. `set_aside` is where an unreadable database was moved, if one was.

    What writes raises WorldError `state-unwritable`, unless it says otherwise, and then has changed
    nothing.
    """

    def __init__(self, database: sqlite3.Connection, set_aside: Path | None = None) -> None:
        self._database = database
        self.set_aside = set_aside

    @classmethod
    def open(cls, path: Path, now: float) -> Store:
        """The store in `path`, made if absent. Raises Misconfigured `state-newer` and, where the
        file may be good but cannot be used now (no space, no permission), `state-unusable`.
        """
        try:
            return cls(_checked(path))
        except (sqlite3.DatabaseError, ValueError) as error:
            if isinstance(error, sqlite3.Error) and error.sqlite_errorcode not in _UNREADABLE:
                raise Misconfigured(
                    "state-unusable", f"{path}: {error}", "free space or mend its permissions"
                ) from None
            aside = path.with_name(f"{path.name}.unreadable-{int(now)}")
            for suffix in ("", "-wal", "-shm"):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            return cls(_checked(path), aside)

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; it is on the disk when the block has been left."""
        try:
            with self._database as database:
                yield database
        except sqlite3.Error as error:
            raise WorldError(
                "state-unwritable", f"the state cannot be saved: {error}", "free space on the disk"
            ) from None

    def state(self) -> State:
        """The intent as it was saved last."""
        row = self._database.execute(
            "SELECT body FROM session ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return State(_read(Session, row[0]) if row else None)

    def save(self, state: State) -> None:
        session = state.session
        if session is None:
            return
        with self._write() as database:
            database.execute(
                "INSERT INTO session (id, body) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                (session.id, json.dumps(asdict(session))),
            )
            database.execute(
                "DELETE FROM session WHERE number <= (SELECT max(number) FROM session) - ?",
                (KEPT_SESSIONS,),
            )

    def sessions(self) -> list[Session]:
        """Every session kept, oldest first."""
        rows = self._database.execute("SELECT body FROM session ORDER BY number")
        return [_read(Session, body) for (body,) in rows]

    def session(self, session_id: str) -> Session | None:
        """That one alone: all of them would be tenths of a second to read."""
        found = self._database.execute("SELECT body FROM session WHERE id = ?", (session_id,))
        row = found.fetchone()
        return _read(Session, row[0]) if row else None

    def session_ids(self, limit: int) -> list[str]:
        """The newest `limit`, the newest last."""
        rows = self._database.execute(
            "SELECT id FROM session ORDER BY number DESC LIMIT ?", (limit,)
        ).fetchall()
        return [session_id for (session_id,) in reversed(rows)]

    # The journal of mappings: the gateway package's `Journal`.

    def record(self, mapping: Mapping) -> None:
        with self._write() as database:
            database.execute(
                "INSERT INTO mapping (id, body) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                (mapping.id, json.dumps(asdict(mapping))),
            )

    def erase(self, mapping_id: str) -> None:
        with self._write() as database:
            database.execute("DELETE FROM mapping WHERE id = ?", (mapping_id,))

    def mappings(self) -> list[Mapping]:
        rows = self._database.execute("SELECT body FROM mapping ORDER BY rowid")
        return [_read(Mapping, body) for (body,) in rows]

    # The journal of connections' processes.

    def record_process(self, process: Process) -> None:
        with self._write() as database:
            database.execute(
                "INSERT OR REPLACE INTO process (pid, body) VALUES (?, ?)",
                (process.pid, json.dumps(asdict(process))),
            )

    def forget_process(self, pid: int) -> None:
        """Logs what it cannot write: a pid that is gone does no harm in the journal."""
        try:
            with self._write() as database:
                database.execute("DELETE FROM process WHERE pid = ?", (pid,))
        except WorldError as error:
            log.error("still in the journal: %s", error)  # noqa: TRY400 - the cause is all there is

    def processes(self) -> list[Process]:
        rows = self._database.execute("SELECT body FROM process ORDER BY pid")
        return [_read(Process, body) for (body,) in rows]

    # The history.

    def happened(
        self, at: float, session: str | None, kind: str, text: str, data: dict[str, Any]
    ) -> Happening:
        with self._write() as database:
            number = database.execute(
                "INSERT INTO event (at, session, kind, text, data) VALUES (?, ?, ?, ?, ?)",
                (at, session, kind, text, json.dumps(data)),
            ).lastrowid
            database.execute(
                "DELETE FROM event WHERE kind = ?1 AND id <="
                " (SELECT id FROM event WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                (kind, KEPT_EVENTS),
            )
        return Happening(number or 0, at, session, kind, text, data)

    def history(self, after: int, limit: int) -> list[Happening]:
        """The newest `limit` events after the event `after`, oldest first."""
        rows = self._database.execute(
            "SELECT id, at, session, kind, text, data FROM event WHERE id > ?"
            " ORDER BY id DESC LIMIT ?",
            (after, limit),
        ).fetchall()
        return list(_happenings(reversed(rows)))

    def history_of(self, session: str) -> list[Happening]:
        rows = self._database.execute(
            "SELECT id, at, session, kind, text, data FROM event WHERE session = ? ORDER BY id",
            (session,),
        )
        return list(_happenings(rows))


def _read(kind: type[T], body: str) -> T:
    """A later version's record may say more; what this one knows of it holds."""
    return strict.read(kind, json.loads(body), passing_over=True)


def _happenings(rows: Iterable[tuple[Any, ...]]) -> Iterable[Happening]:
    for number, at, session, kind, text, data in rows:
        yield Happening(number, at, session, kind, text, json.loads(data))


def _checked(path: Path) -> sqlite3.Connection:
    """An open, migrated database in which every stored intent and journal entry can be read."""
    database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level="IMMEDIATE")
    # sqlite3's own complaint of text that is not UTF-8 has no error code, and is no ValueError.
    database.text_factory = bytes.decode
    try:
        _migrate(database, path)
        probe = Store(database)
        probe.sessions()
        probe.mappings()
        probe.processes()
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, path: Path) -> None:
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
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN; {statements} PRAGMA user_version = {number}; COMMIT;")
