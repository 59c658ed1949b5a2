"""Open or closed: accepts connections, gives each its sshd, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

from pairingd.core.admission import (
    LOGIN_GRACE,
    LOGIN_UNDER_WAY,
    Admission,
    Progress,
    Refusal,
    Visitor,
)
from pairingd.errors import WorldError
from pairingd.process.holder import holder
from pairingd.world.door.connection import Connection, Watcher
from pairingd.world.door.farewell import message
from pairingd.world.door.guard import Guard
from pairingd.world.door.listener import listen, plain, tune
from pairingd.world.door.lobby import Lobby
from pairingd.world.door.progress import progress
from pairingd.world.sshd import Sshd
from pairingd.world.sshd_log import Accepted, Failed, parse

log = logging.getLogger(__name__)

_FAREWELL_TIMEOUT_S = 0.15  # for tmux clients to leave by themselves; all are out within 0.2
_PATIENCE = 1.0  # seconds an sshd has to follow a signal
_RECORD = 4096  # bytes; sshd's longest message is 1024 (log.c, MSGBUFSIZ)
_AT_ONCE = 32  # connections accepted before anything else is looked at
_MOST_TOLD = 1024  # refusals in the log of one session
_PAUSE = 0.25  # seconds without accepting, where there are no descriptors


class Door:
    """Open or shut; `connections` by the pid of their sshd, which outlive a shut door."""

    def __init__(
        self,
        sshd: Sshd,
        address: str,
        clock: Callable[[], float],
        watcher: Watcher,
        admission: Admission,
    ) -> None:
        self.connections: dict[int, Connection] = {}
        self._sshd = sshd
        self._address = address
        self._clock = clock
        self._watcher = watcher
        self._listener: socket.socket | None = None
        self._lobby = Lobby(admission, clock, self._progress, self)
        self._logging_in: dict[Visitor, Connection] = {}
        self._told: set[tuple[str, Refusal]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._guard = Guard()

    @property
    def port(self) -> int | None:
        """Where it is open, None when shut."""
        return self._listener.getsockname()[1] if self._listener else None

    def open(self, *, preferred: int, fixed: int) -> None:
        """Listen on `fixed`, or else on `preferred`, or else on any port (0: no wish).

        Raises WorldError `door-blocked` when that port or address cannot be had.
        """
        try:
            self._listener = listen(self._address, fixed or preferred)
        except OSError as error:
            if not fixed and preferred and error.errno == errno.EADDRINUSE:
                self.open(preferred=0, fixed=0)
                return
            wish = f"port {fixed or preferred}" if fixed or preferred else "any port"
            # os.strerror: asyncio and socket add the address to the text, in a form of their own.
            why = os.strerror(error.errno or 0)
            if error.errno == errno.EADDRINUSE and (found := holder(fixed)):
                why += f", by {found}"
            raise WorldError(
                "door-blocked",
                f"cannot listen on {self._address or 'any address'}, {wish}: {why}",
                "choose another [door] port or address in config.toml",
            ) from None
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """No new connection from now on; those inside stay until they are cut."""
        if self._listener:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
            self._lobby.close()
            self._told.clear()

    async def cut(
        self, reasons: Mapping[int, str], farewell: Callable[[list[int]], Awaitable[None]]
    ) -> None:
        """End these connections, by their pids, each with its reason.

        A friendly detach for all the guests among them comes first, then the end of all the
        sockets, then of all the processes. Whatever `farewell` does, hangs or raises, the rest
        follows within 0.15 s. Returns once all are told to the watcher as disconnected.
        """
        cut = [self.connections[pid] for pid in reasons if pid in self.connections]
        for connection in cut:
            connection.cut_for = connection.cut_for or reasons[connection.pid]
        if guests := [connection for connection in cut if connection.attached]:
            # tmux restores the guests' screens; nothing here waits for one who will not go.
            try:
                async with asyncio.timeout(_FAREWELL_TIMEOUT_S):
                    await farewell([guest.pid for guest in guests])
                    await _all_ended(guests)
            except Exception as error:  # noqa: BLE001 - see above
                log.debug("no farewell: %r", error)
        await self._end(cut)
        await _all_ended(cut)

    def guard(self, deadlines: Mapping[int, float]) -> None:
        """Whatever becomes of this process, these connections end in so many seconds."""
        for pid, seconds in deadlines.items():
            if pid in self.connections:
                self._guard.hold(pid, seconds)

    # The lobby's House

    def serve(self, visitor: Visitor, accepted: socket.socket, peer: str) -> None:
        """Give it an sshd, and its place back in the end."""
        self._in_background(self._serve(visitor, accepted, peer))

    def end(self, visitor: Visitor, refusal: Refusal) -> None:
        """End its sshd. It is told why, if that can be said."""
        connection = self._logging_in[visitor]
        self.turned_away(connection.peer, refusal)
        state = self._progress(visitor)
        if state is not None and state.received < LOGIN_UNDER_WAY:  # so nothing is encrypted yet
            with contextlib.suppress(OSError):
                connection.socket.send(message(refusal), socket.MSG_DONTWAIT)
        self._in_background(self._end([connection]))

    def turned_away(self, peer: str, refusal: Refusal) -> None:
        """Tell of it, once for each address and reason: a flood must not fill the log."""
        if (peer, refusal) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((peer, refusal))
            self._watcher.turned_away(peer, refusal.value)

    def descriptors(self) -> int:
        """How many the connections have: a socket and sshd's log each."""
        return 2 * len(self.connections)

    def _progress(self, visitor: Visitor) -> Progress | None:
        connection = self._logging_in.get(visitor)
        if connection is None or visitor.seated is None:
            return None
        return progress(connection.socket, self._clock() - visitor.seated)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 - the reader is removed with it
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionError:
                continue
            except OSError as error:
                # Out of descriptors: those who come wait in the kernel's queue meanwhile.
                log.warning("cannot accept: %s", error.strerror)
                listener = self._listener
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener.fileno())
                loop.call_later(_PAUSE, self._listen_again, listener)
                break
            self._lobby.enter(accepted, plain(address[0]))

    def _listen_again(self, listener: socket.socket) -> None:
        if self._listener is listener:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)

    async def _serve(self, visitor: Visitor, accepted: socket.socket, peer: str) -> None:
        with self._lobby.place(visitor):
            try:
                connection, records = await self._start(accepted, peer)
            except Exception as error:
                if not isinstance(error, OSError):
                    log.exception("a defect")
                log.warning("no sshd for the connection from %s: %s", peer, error)
                self._lobby.fail(visitor, accepted)
                self.turned_away(peer, Refusal.NO_RESOURCES)
                return
            try:
                self.connections[connection.pid] = connection
                self._logging_in[visitor] = connection
                self._watcher.connected(connection)
                await self._follow(visitor, connection, records)
            except Exception:  # one that cannot be accounted for must not stay
                log.exception("the connection from %s cannot be served", peer)
            finally:
                records.close()
                await self._end([connection])
                self._guard.release(connection.pid)
                accepted.close()
                self._logging_in.pop(visitor, None)
                del self.connections[connection.pid]
                self._tell(self._watcher.disconnected, connection)
                connection.ended.set()

    async def _start(self, accepted: socket.socket, peer: str) -> tuple[Connection, socket.socket]:
        """Its sshd, and what that says, a record a message. If it raises, nothing is left."""
        records, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with theirs:
                records.setblocking(False)
                tune(accepted)
                guardian = await self._guard.commands()
                process = await self._sshd.start(
                    accepted, theirs, self._guard.line("$$", LOGIN_GRACE), guardian
                )
            self._guard.take(process.pid, accepted)
        except BaseException:
            records.close()
            raise
        return Connection(process.pid, peer, self._clock(), accepted, process), records

    async def _follow(
        self, visitor: Visitor, connection: Connection, records: socket.socket
    ) -> None:
        """Until its sshd has ended."""
        loop = asyncio.get_running_loop()
        loop.add_reader(records, self._read, visitor, connection, records)
        grace = loop.call_later(LOGIN_GRACE, self._too_slow, connection)
        try:
            await connection.process.wait()
        finally:
            grace.cancel()
            loop.remove_reader(records)
        self._read(visitor, connection, records)

    @staticmethod
    async def _end(connections: Sequence[Connection]) -> None:
        """No byte passes any more, and the processes go: those of the guests at the latest when
        they find the socket shut. First all sockets, then all signals.
        """
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for number in (signal.SIGTERM, signal.SIGKILL):
            running = [one for one in connections if one.process.returncode is None]
            for connection in running:
                _signal(connection, number)
            if running:
                await asyncio.wait(
                    [asyncio.ensure_future(one.process.wait()) for one in running],
                    timeout=_PATIENCE,
                )
        for connection in connections:  # what a sshd left in its group: stopped, or an orphan
            _signal(connection, signal.SIGKILL)

    def _read(self, visitor: Visitor, connection: Connection, records: socket.socket) -> None:
        """All that sshd has said by now."""
        while True:
            try:
                record = records.recv(_RECORD)
            except (BlockingIOError, ConnectionError):
                return
            log.debug("sshd[%d] %r", connection.pid, record)
            match parse(record):
                case Accepted(fingerprint) if connection.fingerprint is None:
                    connection.fingerprint = fingerprint
                    self._logging_in.pop(visitor, None)
                    self._tell(self._watcher.accepted, connection)
                    self._lobby.entered(visitor, guest=connection.invitation is not None)
                case Failed():
                    connection.failed = True
                    self._lobby.login_refused(visitor)

    @staticmethod
    def _tell(told: Callable[[Connection], None], connection: Connection) -> None:
        try:
            told(connection)
        except Exception:  # what the watcher cannot do must not keep a connection alive
            log.exception("sshd %d is not accounted for", connection.pid)

    def _too_slow(self, connection: Connection) -> None:
        if connection.fingerprint is None:
            connection.failed = True
            _signal(connection, signal.SIGTERM)


async def _all_ended(connections: Sequence[Connection]) -> None:
    await asyncio.gather(*(connection.ended.wait() for connection in connections))


def _signal(connection: Connection, number: signal.Signals) -> None:
    """To the whole group; one that is stopped would act on nothing."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(connection.pid, number)
        os.killpg(connection.pid, signal.SIGCONT)
