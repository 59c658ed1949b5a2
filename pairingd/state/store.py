"""SQLite: the intent, the journal of what outlives the process, and the history.

Every write is on the disk when the call returns (synchronous=FULL), so a reply sent afterwards is a
promise. Rows hold JSON of the core's records, read back strictly. Each row has a checksum that
binds it to its table and key. The end of an invitation does not depend on it (live.py).

A database of an older version is migrated; one of a newer version is refused untouched; one that
cannot be read, or has a damaged record, is set aside. The daemon then starts with an empty intent,
so with everything closed. It takes over the readable journal entries, because they only close
things.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from pairingd.core.model import Invitation, Mapping, Session, State
from pairingd.core.network import router_of
from pairingd.errors import FAILING_DISK, Misconfigured, WorldError, remedy
from pairingd.state import history, sessions
from pairingd.state.history import Happening, Line
from pairingd.state.live import Live
from pairingd.state.rows import as_json, as_text, checksum_of, read
from pairingd.state.schema import TABLES, migrate
from pairingd.state.set_aside import half_replaced, move, remove, unused

log = logging.getLogger(__name__)
T = TypeVar("T")

_UNREADABLE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BUSY_TIMEOUT_S = 0.2  # while another process locks the database; it blocks the event loop
KEPT_SESSIONS = 200


class Process(Struct, frozen=True):
    """The journal's record of a connection's process; a pid alone may have been reused.

    `started` is in seconds since the boot whose id is `boot`. Empty: by the wall clock, as on macOS
    and in the records of schema 1. `typed_at` is when its guest typed last, as of the last write.
    """

    pid: int
    started: float
    boot: str = ""
    typed_at: int | None = None


class Store:
    """Open with `Store.open`. `set_aside` is the new path of an unreadable database, if there was
    one; `live` limits what the state may claim.

    Methods that write raise WorldError `state-unwritable`, unless they say otherwise, and have then
    changed nothing.
    """

    def __init__(
        self, database: sqlite3.Connection, live: Live, set_aside: Path | None = None
    ) -> None:
        self._database = database
        self._together: set[str] | None = None  # kinds of events written within `together`
        self._saved: Session | None = None  # as it is on disk
        self.live = live
        self.set_aside = set_aside

    @classmethod
    def open(cls, path: Path, now: float) -> Store:
        """Open the store in `path`, made if absent. Raises Misconfigured `state-newer`, and
        `state-unusable` if the file may be good but cannot be used now (no space, no permission).
        """
        live = Live(path.with_name("live"))
        try:
            aside = half_replaced(path)
            if not aside:
                try:
                    store = cls(_checked(path, live), live)
                except (sqlite3.Error, ValueError) as error:
                    if _code(error) not in _UNREADABLE:
                        raise
                    aside = unused(path, int(now))
            if aside:
                store = _replaced(path, live, aside)
        except sqlite3.Error as error:
            hint = _remedy(error, "free space or fix its permissions")
            raise Misconfigured("state-unusable", f"{path}: {error}", hint) from None
        except OSError as error:  # while one is set aside
            cause = f"{error.filename}: {error.strerror}"
            hint = remedy(error, "free space or fix its permissions")
            raise Misconfigured("state-unusable", cause, hint) from None
        if failure := _failure_of(live.keep, store.state().live):
            log.warning("a mark that is of no use stays for now: %s", failure)
        return store

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A transaction, or a part of that of `together`; on disk when the outermost block has
        ended.
        """
        try:
            if self._together is not None:
                yield self._database
            else:
                with self._database as database:
                    yield database
        except sqlite3.Error as error:
            hint = _remedy(error, "free space on the disk")
            raise WorldError(
                "state-unwritable", f"the state cannot be saved: {error}", hint
            ) from None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Join all writes within this block, to wait for the disk once. They are on disk when the
        block has ended.
        """
        with self._write():
            self._together = set()
            try:
                yield
                for kind in self._together:
                    history.forget(self._database, kind)
            finally:
                self._together = None

    def state(self) -> State:
        """Return the intent as saved last."""
        self._saved = sessions.last(self._database)
        return State(self._saved)

    def save(self, state: State, lines: Iterable[Line] = ()) -> list[Happening]:
        """Save `state`, and these lines of the history with it. From now on nobody has more rights
        than it gives, even if this raises: durably with `state-unwritable`, until this process ends
        with `not-durable`.
        """
        session = state.session
        if session is None:
            with self.together():
                return [self.happened(*line) for line in lines]
        stuck = _failure_of(self.live.keep, state.live)
        try:
            with self.live.made(state.live), self.together():
                sessions.write(self._database, session, self._saved)
                if self._saved is None or self._saved.id != session.id:
                    sessions.forget(self._database, KEPT_SESSIONS)
                written = [self.happened(*line) for line in lines]
            self._saved = session
        except WorldError as unwritable:
            if stuck:
                raise WorldError("not-durable", unwritable.message, unwritable.hint) from None
            raise
        self.settle(state)
        return written

    def settle(self, state: State) -> None:
        """Remove the marks of rights before those of `state`, which is saved."""
        if failure := _failure_of(self.live.settle, state.live):
            log.warning("a mark of former rights stays for now: %s", failure)

    def sessions(self) -> list[Session]:
        """Return every kept session, oldest first."""
        return [*sessions.every(self._database)]

    def session(self, session_id: str) -> Session | None:
        """Read one session alone: reading all of them takes tenths of a second."""
        return sessions.by_id(self._database, session_id)

    def unread_session(self, session_id: str) -> tuple[Session, Iterator[Invitation]] | None:
        """The session without its invitations, and these, each of which is read when it is taken:
        a thousand at once take a tenth of a second.
        """
        return sessions.unread(self._database, session_id)

    def session_ids(self, limit: int) -> list[str]:
        """Return the ids of the newest `limit` sessions, the newest last."""
        rows = self._database.execute(
            "SELECT id FROM session ORDER BY number DESC LIMIT ?", (limit,)
        ).fetchall()
        return [session_id for (session_id,) in reversed(rows)]

    # The journal of mappings: the gateway package's `Journal`.

    def record(self, mapping: Mapping) -> None:
        with self._write() as database:
            body = as_json(mapping)
            database.execute(
                "INSERT INTO mapping (id, body, checksum) VALUES (?, ?, ?) ON CONFLICT (id)"
                " DO UPDATE SET body = excluded.body, checksum = excluded.checksum",
                (mapping.id, body, checksum_of("mapping", mapping.id, body)),
            )

    def erase(self, mapping_id: str) -> None:
        with self._write() as database:
            database.execute("DELETE FROM mapping WHERE id = ?", (mapping_id,))

    def mappings(self) -> list[Mapping]:
        rows = self._database.execute("SELECT id, body, checksum FROM mapping ORDER BY rowid")
        return [read(Mapping, "mapping", *row) for row in rows]

    # What was observed of routers: the gateway package's `Verdicts`.

    def honours(self, network: str) -> bool | None:
        """What was observed before the gateway showed its MAC counts against it. A damaged record
        means no, to be careful.
        """
        router = router_of(network)
        unnamed = router.partition("/")[0] + "/"
        rows = self._database.execute(
            "SELECT id, honours, checksum FROM router WHERE id IN (?, ?)", (router, unnamed)
        ).fetchall()
        if not all(
            honours and checksum == checksum_of("router", id_, honours)
            for id_, honours, checksum in rows
        ):
            return False
        return True if any(id_ == router for id_, *_ in rows) else None

    def judge(self, network: str, *, honours: bool) -> None:
        """Record whether the router honours internal ports; a no stays. Only logs a failed write:
        the next look at that router finds the same, and a mapping must be closed even so.
        """
        try:
            self.judge_router(router_of(network), honours=honours)
        except WorldError as error:
            log.error("not remembered of the router: %s", error)  # noqa: TRY400 - as below

    def judge_router(self, router: str, *, honours: bool) -> None:
        with self._write() as database:
            database.execute(
                "INSERT INTO router (id, honours, checksum) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET honours = excluded.honours,"
                " checksum = excluded.checksum WHERE excluded.honours < honours",
                (router, int(honours), checksum_of("router", router, int(honours))),
            )

    # The journal of connections' processes.

    def record_process(self, process: Process) -> None:
        with self._write() as database:
            body = as_json(process)
            database.execute(
                "INSERT OR REPLACE INTO process (pid, body, checksum) VALUES (?, ?, ?)",
                (process.pid, body, checksum_of("process", process.pid, body)),
            )

    def forget_processes(self, *pids: int) -> None:
        """Only logs a failed write: a pid that is gone does no harm in the journal."""
        try:
            with self._write() as database:
                database.executemany("DELETE FROM process WHERE pid = ?", [(pid,) for pid in pids])
        except WorldError as error:
            log.error("still in the journal: %s", error)  # noqa: TRY400 - the cause is all there is

    def processes(self) -> list[Process]:
        rows = self._database.execute("SELECT pid, body, checksum FROM process ORDER BY pid")
        return [read(Process, "process", *row) for row in rows]

    # The history.

    def happened(
        self, at: float, session: str | None, kind: str, text: str, data: dict[str, Any]
    ) -> Happening:
        with self._write() as database:
            written = history.add(database, (at, session, kind, text, data))
            if self._together is None:
                history.forget(database, kind)
            else:  # once for all, because it counts thousands
                self._together.add(kind)
        return written

    def history(self, after: int, limit: int) -> list[Happening]:
        """The newest `limit` events after the event `after`, oldest first."""
        return list(self.unread_history(after, limit))

    def history_of(self, session: str) -> list[Happening]:
        return list(self.unread_history_of(session))

    def unread_history(self, after: int, limit: int) -> Iterator[Happening]:
        """As `history`; each is read when it is taken."""
        return history.newest(self._database, after, limit)

    def unread_history_of(self, session: str) -> Iterator[Happening]:
        return history.of_session(self._database, session)


def _code(error: Exception) -> int:
    """SQLite's primary result code: the rest of an extended one is the detail."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _remedy(error: Exception, otherwise: str) -> str:
    if _code(error) in _LOCKED:
        return "end the program that has state.db open, such as sqlite3"
    return FAILING_DISK if _code(error) == sqlite3.SQLITE_IOERR else otherwise


def _failure_of(attempt: Callable[[Iterable[Invitation]], None], live: Iterable[Invitation]) -> str:
    try:
        attempt(live)
    except OSError as error:
        return str(error)
    return ""


def _checked(path: Path, live: Live) -> sqlite3.Connection:
    """Open and migrate a database; check that it has all tables, and that every stored intent and
    journal entry can be read.
    """
    database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level="IMMEDIATE")
    database.text_factory = as_text
    try:
        migrate(database, path, live)
        probe = Store(database, live)
        probe.sessions()
        probe.mappings()
        probe.processes()
        probe.history(0, 1)
        for table in TABLES:
            database.execute(f"SELECT checksum FROM {table} LIMIT 0")  # noqa: S608
    except BaseException:
        database.close()
        raise
    return database


def _replaced(path: Path, live: Live, aside: Path) -> Store:
    """Move the database to `aside`, or what is left of it there, and make a new one with its
    journal. If that fails, the old one is in its place again. Until the new one is whole there is
    none, by which `half_replaced` knows that no entry of the journal may be forgotten.
    """
    move(path, aside)
    new = path.with_name(f"{path.name}.new")
    with ExitStack() as undo:
        undo.callback(move, aside, path)
        undo.callback(remove, new)
        remove(new)
        with closing(_checked(new, live)) as database:
            _take_over_journal(aside, Store(database, live))
            database.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
        new.rename(path)
        undo.pop_all()
    return Store(_checked(path, live), live, aside)


def _take_over_journal(aside: Path, store: Store) -> None:
    with closing(sqlite3.connect(f"{aside.as_uri()}?mode=ro", uri=True)) as database:
        database.text_factory = as_text
        with store.together():
            for mapping in _readable(database, Mapping, "mapping", "id"):
                store.record(mapping)
            for process in _readable(database, Process, "process", "pid"):
                store.record_process(process)
            with suppress(sqlite3.Error, ValueError):  # older ones have none
                for (router,) in database.execute("SELECT id FROM router WHERE honours = 0"):
                    store.judge_router(router, honours=False)


def _readable(database: sqlite3.Connection, kind: type[T], table: str, key: str) -> Iterator[T]:
    with suppress(sqlite3.Error, ValueError):
        for row in database.execute(f"SELECT {key}, body, checksum FROM {table}"):  # noqa: S608
            with suppress(ValueError):
                yield read(kind, table, *row)
