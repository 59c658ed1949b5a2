"""The third lock: the listener that guests reach, and the connections it let in.

The daemon accepts; an sshd of its own serves each connection. So the daemon knows every
connection's process, peer and log, and can end it whatever its owner does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from pairingd.core.admission import LOGIN_GRACE, Admission
from pairingd.core.model import Access
from pairingd.errors import WorldError
from pairingd.world.sshd import Sshd
from pairingd.world.sshd_log import Accepted, Failed, parse

log = logging.getLogger(__name__)

_FRIENDLY = 0.1  # seconds for a detached tmux client to leave by itself before its sshd is ended
_PATIENCE = 1.0  # seconds an sshd has to follow a signal
_IDLING = 5.0  # seconds that a place may be held without a login, at no cost
_RECORD = 4096  # bytes; sshd's longest message is 1024 (log.c, MSGBUFSIZ)
_UNACKNOWLEDGED = 30  # seconds a silent guest's network may be gone before TCP gives up (Linux)


@dataclass(slots=True)
class Connection:
    """One accepted TCP connection. `fingerprint` is of the key that got in, once one did."""

    pid: int
    peer: str
    since: float
    socket: socket.socket
    process: asyncio.subprocess.Process
    fingerprint: str | None = None
    invitation: str | None = None
    guest: str = ""  # whose it is
    session: str = ""  # the one in which its key was accepted
    failed: bool = False
    attached: bool = False  # has been seen in the tmux session
    absent_since: float | None = None  # when it was first seen not to be
    entered_as: Access | None = None  # the role that its key gave
    command: int | None = None  # the pid of its forced command, once its client was seen
    astray: str = ""  # why it must be cut although its invitation is live
    cut_for: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Watcher(Protocol):
    """Told of connections; each call returns quickly."""

    def connected(self, connection: Connection) -> None:
        """Its process exists and must be journaled."""

    def accepted(self, connection: Connection) -> None:
        """The key `connection.fingerprint` got in; say whose it is."""

    def disconnected(self, connection: Connection) -> None:
        """Its process is gone."""

    def turned_away(self, peer: str, reason: str) -> None:
        """No sshd was started for it."""


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
        self._admission = admission
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int | None:
        """Where it is open, None when shut."""
        return self._listener.getsockname()[1] if self._listener else None

    def open(self, *, preferred: int, fixed: int) -> None:
        """Listen on `fixed`, or else on `preferred`, or else on any port (0: no wish).

        Raises WorldError `door-blocked` when that port or address cannot be had.
        """
        try:
            self._listener = _listen(self._address, fixed or preferred)
        except OSError as error:
            if not fixed and preferred and error.errno == errno.EADDRINUSE:
                self.open(preferred=0, fixed=0)
                return
            wish = f"port {fixed or preferred}" if fixed or preferred else "any port"
            # os.strerror: asyncio and socket add the address to the text, in a form of their own.
            why = os.strerror(error.errno or 0)
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

    async def cut(self, pid: int, why: str, farewell: Callable[[], Awaitable[None]]) -> None:
        """End a connection: a friendly detach first, then the socket, then the process.

        Whatever `farewell` does, hangs or raises, the rest follows within a moment.
        """
        connection = self.connections.get(pid)
        if connection is None:
            return
        connection.cut_for = connection.cut_for or why
        if connection.invitation:
            # tmux restores the guest's screen; nothing here waits for a guest who will not go.
            try:
                async with asyncio.timeout(_FRIENDLY):
                    await farewell()
                    await connection.ended.wait()
            except Exception as error:  # noqa: BLE001 - see above
                log.debug("no farewell for sshd %d: %r", pid, error)
        await self._end(connection)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 - the reader is removed with it
        try:
            accepted, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError as error:
            # Out of descriptors: leave the queue alone for a moment instead of spinning on it.
            log.warning("cannot accept: %s", error.strerror)
            listener = self._listener
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener.fileno())
            loop.call_later(1.0, self._listen_again, listener)
            return
        peer = _plain(address[0])
        if reason := self._admission.admit(peer, self._clock()):
            accepted.close()
            self._watcher.turned_away(peer, reason)
            return
        task = asyncio.get_running_loop().create_task(self._serve(accepted, peer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def _listen_again(self, listener: socket.socket) -> None:
        if self._listener is listener:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)

    async def _serve(self, accepted: socket.socket, peer: str) -> None:
        connection: Connection | None = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            with theirs:
                _tune(accepted)
                process = await self._sshd.start(accepted, theirs)
            connection = Connection(process.pid, peer, self._clock(), accepted, process)
            self.connections[process.pid] = connection
            self._watcher.connected(connection)
            loop.add_reader(ours, self._read, ours, connection)
            grace = loop.call_later(LOGIN_GRACE, self._too_slow, connection)
            try:
                await process.wait()
            finally:
                grace.cancel()
                loop.remove_reader(ours)
            self._read(ours, connection)
        except Exception:  # no sshd, or one that cannot be accounted for: it must not stay
            log.exception("the connection from %s cannot be served", peer)
        finally:
            ours.close()
            if connection:
                await self._end(connection)
            accepted.close()
            self._forget(connection, peer)

    async def _end(self, connection: Connection) -> None:
        """No byte passes any more, and its processes go: those of the guest at the latest when
        they find the socket shut.
        """
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if connection.process.returncode is not None:
                return
            _signal(connection.process, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await connection.process.wait()

    def _forget(self, connection: Connection | None, peer: str) -> None:
        now = self._clock()
        if connection is None or connection.fingerprint is None:
            # Holding a place without trying to log in is no better than a wrong key.
            failed = connection is not None and (
                connection.failed or now - connection.since > _IDLING
            )
            self._admission.left(peer, now, failed=failed)
        if connection:
            del self.connections[connection.pid]
            connection.ended.set()
            self._tell(self._watcher.disconnected, connection)

    def _read(self, records: socket.socket, connection: Connection) -> None:
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
                    self._admission.authenticated(connection.peer)
                    self._tell(self._watcher.accepted, connection)
                case Failed():
                    connection.failed = True

    @staticmethod
    def _tell(told: Callable[[Connection], None], connection: Connection) -> None:
        try:
            told(connection)
        except Exception:  # what the watcher cannot do must not keep a connection alive
            log.exception("sshd %d is not accounted for", connection.pid)

    def _too_slow(self, connection: Connection) -> None:
        if connection.fingerprint is None:
            connection.failed = True
            _signal(connection.process, signal.SIGTERM)


def _listen(address: str, port: int) -> socket.socket:
    if address:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=16)
    else:
        try:
            listener = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=16
            )
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise
            listener = socket.create_server(("", port), backlog=16)
    listener.setblocking(False)
    return listener


def _tune(connection: socket.socket) -> None:
    # macOS hands the listener's O_NONBLOCK on; sshd expects a plain descriptor.
    connection.setblocking(True)
    # Before sshd gets it: first paint 190 ms instead of 244 ms (measured over loopback, 9.2).
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED * 1000)


def _plain(address: str) -> str:
    """`203.0.113.7` for an IPv4 peer that reached the dual-stack listener."""
    return address.removeprefix("::ffff:") if "." in address else address


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
