"""Each connection's sshd: starts it, follows it, and ends it whatever its owner does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from msgspec import Struct, field

from pairingd.core.admission import LOGIN_GRACE, LOGIN_UNDER_WAY, Progress, Refusal, Visitor
from pairingd.world.door.acknowledge import Acknowledgements
from pairingd.world.door.events import Authenticated, Connected, Disconnected, Events, LoginRefused
from pairingd.world.door.farewell import message
from pairingd.world.door.guard import BEHIND_S, Guard
from pairingd.world.door.listener import tune
from pairingd.world.door.progress import progress
from pairingd.world.sshd import Announcement, Reach, Sshd
from pairingd.world.sshd.log import Accepted, Failed, Unlike, channel, parse

log = logging.getLogger(__name__)

_FAREWELL_TIMEOUT_S = 0.15  # for tmux clients to leave by themselves; all are out within 0.2 s
_LOOK_INTERVAL_S = 1.0  # between looks for logins that sshd's log has lost, while any goes on
_SIGNAL_TIMEOUT_S = 1.0  # for an sshd to follow a signal
_RECORDS_AT_A_TIME = 256  # Linux holds 11 of them: net.unix.max_dgram_qlen, ip-sysctl
_MAX_RECORD_BYTES = 4096  # sshd's longest message is 1024 (log.c, MSGBUFSIZ)


# Of the connections' sshds, those known to have a guest logged in, with the invitation.
LoggedIn = Callable[[Collection[int]], Mapping[int, str]]
Journal = Callable[[int], None]


class Connection(Struct, eq=False):
    """One accepted TCP connection that has an sshd; `refused`: it has refused a login."""

    pid: int
    peer: str
    visitor: Visitor
    socket: socket.socket
    process: asyncio.subprocess.Process
    reach: Reach
    authenticated: bool = False
    refused: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Connections:
    """Those that have an sshd; they outlive a closed door. `events` gets what happens to them."""

    def __init__(
        self,
        sshd: Callable[[], Sshd],
        clock: Callable[[], float],
        events: Events,
        logged_in: LoggedIn,
        journal: Journal,
    ) -> None:
        self._sshd = sshd
        self._clock = clock
        self._events = events
        self._by_pid: dict[int, Connection] = {}
        self._logging_in: dict[Visitor, Connection] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._guard = Guard()
        self._acknowledgements = Acknowledgements()
        self._logged_in = logged_in
        self._journal = journal
        self._look: asyncio.TimerHandle | None = None

    async def serve(
        self, visitor: Visitor, accepted: socket.socket, peer: str, dialed: str = ""
    ) -> Connection:
        """From an sshd's start to its end, which closes `accepted`. `dialed` as in Connected.

        Raises OSError if no sshd can be started, WorldError if it cannot be journaled; then
        `accepted` is open.
        """
        connection, records = await self._start(visitor, accepted, peer)
        try:
            self._by_pid[connection.pid] = connection
            self._logging_in[visitor] = connection
            self._events.put_nowait(Connected(connection.pid, peer, self._clock(), dialed))
            self._look_later()
            await self._follow(connection, records)
        except Exception:  # a connection that is not followed must not stay
            log.exception("the connection from %s cannot be served", peer)
        finally:
            records.close()
            await self._end([connection])
            self._guard.release(connection.pid)
            connection.reach.close()
            self._acknowledgements.leave(accepted)
            accepted.close()
            self._logging_in.pop(visitor, None)
            del self._by_pid[connection.pid]
            self._events.put_nowait(Disconnected(connection.pid))
            connection.ended.set()
        return connection

    def end(self, visitor: Visitor, refusal: Refusal) -> str:
        """End the sshd of a login in progress, and return the peer's address. The client gets the
        reason while nothing is encrypted yet.
        """
        connection = self._logging_in[visitor]
        state = self.progress(visitor)
        if state is not None and state.received < LOGIN_UNDER_WAY:
            with contextlib.suppress(OSError):
                connection.socket.send(message(refusal), socket.MSG_DONTWAIT)
        task = asyncio.create_task(self._end([connection]))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return connection.peer

    async def cut(
        self,
        pids: Iterable[int],
        leaving: Collection[int],
        detach: Callable[[Collection[int]], Awaitable[None]],
    ) -> None:
        """End these connections. First `detach` those that are `leaving`, so that tmux restores
        their screens and they read why; then shut down all sockets; then end all processes.

        If `detach` hangs or raises, the rest still follows within 0.15 s. Returns once each
        Disconnected is among the events.
        """
        cut = [self._by_pid[pid] for pid in pids if pid in self._by_pid]
        if guests := [connection for connection in cut if connection.pid in leaving]:
            try:
                async with asyncio.timeout(_FAREWELL_TIMEOUT_S):
                    await detach([connection.pid for connection in guests])
                    await _all_ended(guests)
            except Exception as error:  # noqa: BLE001 - nothing here waits for a guest who stays
                log.debug("no farewell: %r", error)
        await self._end(cut)
        await _all_ended(cut)

    def guard(self, deadlines: Mapping[int, float]) -> None:
        """These connections end in so many seconds, even if this process dies or hangs."""
        for pid, seconds in deadlines.items():
            if pid in self._by_pid and self._guard.hold(pid, seconds):
                self._by_pid[pid].reach.guard(seconds + BEHIND_S)

    def signal(self, pid: int, process: int, number: signal.Signals) -> None:
        """Signal a process that this connection has started."""
        if connection := self._by_pid.get(pid):
            connection.reach.send(process, number)

    def visitor(self, pid: int) -> Visitor | None:
        """The visitor of a connection, while it lasts."""
        connection = self._by_pid.get(pid)
        return connection.visitor if connection else None

    def progress(self, visitor: Visitor) -> Progress | None:
        """How far the visitor's login is, until it ends."""
        connection = self._logging_in.get(visitor)
        if connection is None or visitor.seated is None:
            return None
        return progress(connection.socket, self._clock() - visitor.seated)

    def descriptors(self) -> int:
        """How many the connections use: a socket and sshd's log each."""
        return 2 * len(self._by_pid)

    async def _start(
        self, visitor: Visitor, accepted: socket.socket, peer: str
    ) -> tuple[Connection, socket.socket]:
        """Its sshd and the log of that, one record per message. If this raises, nothing is left."""
        records, log_end = channel()
        try:
            with log_end:
                records.setblocking(False)
                tune(accepted)
                async with self._guard.commands() as guardian:
                    known = Announcement(self._guard.line("$$", LOGIN_GRACE), guardian)
                    process, reach = await self._sshd().start(accepted, log_end, known)
                    self._guard.hold(process.pid, LOGIN_GRACE)
                    self._guard.take(process.pid, accepted)
                try:
                    self._journal(process.pid)
                except BaseException:
                    await self._abandon(process, reach)
                    raise
        except BaseException:
            records.close()
            raise
        return Connection(process.pid, peer, visitor, accepted, process, reach), records

    async def _abandon(self, process: asyncio.subprocess.Process, reach: Reach) -> None:
        """End an sshd that must not serve. It has hardly begun."""
        reach.end(signal.SIGKILL)
        await asyncio.wait({asyncio.create_task(process.wait())}, timeout=_SIGNAL_TIMEOUT_S)
        self._guard.release(process.pid)
        reach.close()

    async def _follow(self, connection: Connection, records: socket.socket) -> None:
        """Return once its sshd has ended."""
        loop = asyncio.get_running_loop()
        loop.add_reader(records, self._read, connection, records)
        self._acknowledgements.hasten(connection.socket, LOGIN_GRACE)
        grace = loop.call_later(LOGIN_GRACE, self._too_slow, connection)
        try:
            await connection.process.wait()
        finally:
            grace.cancel()
            loop.remove_reader(records)
        self._read(connection, records)

    def _read(self, connection: Connection, records: socket.socket) -> None:
        """Read what sshd has logged, at most _RECORDS_AT_A_TIME: an account's guests can write
        there, faster than this reads.
        """
        for _ in range(_RECORDS_AT_A_TIME):
            try:
                record = records.recv(_MAX_RECORD_BYTES)
            except (BlockingIOError, ConnectionError):
                return
            log.debug("sshd[%d] %r", connection.pid, record)
            match parse(record):
                case Accepted(fingerprint) if not connection.authenticated:
                    self._enters(connection, Authenticated(connection.pid, fingerprint))
                case Failed(fingerprint, other_user):
                    connection.refused = True
                    self._events.put_nowait(LoginRefused(connection.pid, fingerprint, other_user))
                case Unlike(kind):  # no guess at a key, so not `refused`
                    self._events.put_nowait(LoginRefused(connection.pid, unlike=kind))
                case _:
                    pass

    def _enters(self, connection: Connection, event: Authenticated) -> None:
        connection.authenticated = True
        self._logging_in.pop(connection.visitor, None)
        self._acknowledgements.logged_in(connection.socket)
        self._events.put_nowait(event)

    def _look_later(self) -> None:
        if self._look is None and self._logging_in:
            self._look = asyncio.get_running_loop().call_later(
                _LOOK_INTERVAL_S, self._look_for_logins
            )

    def _look_for_logins(self) -> None:
        """Find logins whose log line was lost: macOS drops what its socket cannot hold."""
        self._look = None
        by_pid = {connection.pid: connection for connection in self._logging_in.values()}
        for pid, invitation in self._logged_in(by_pid.keys()).items():
            log.warning("sshd[%d] did not log a login, but a guest is in", pid)
            self._enters(by_pid[pid], Authenticated(pid, "", invitation))
        self._look_later()

    def _too_slow(self, connection: Connection) -> None:
        if not connection.authenticated:
            self._events.put_nowait(LoginRefused(connection.pid))
            connection.reach.end(signal.SIGTERM)

    @staticmethod
    async def _end(connections: Collection[Connection]) -> None:
        """Shut down all sockets, then signal all processes. A guest's processes end at the latest
        when they find the socket closed.
        """
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for number in (signal.SIGTERM, signal.SIGKILL):
            running = [
                connection for connection in connections if connection.process.returncode is None
            ]
            for connection in running:
                connection.reach.end(number)
            if running:
                await asyncio.wait(
                    [asyncio.ensure_future(connection.process.wait()) for connection in running],
                    timeout=_SIGNAL_TIMEOUT_S,
                )
        for connection in connections:  # what an sshd left in its group: stopped, or an orphan
            connection.reach.end(signal.SIGKILL)


async def _all_ended(connections: Iterable[Connection]) -> None:
    await asyncio.gather(*(connection.ended.wait() for connection in connections))
