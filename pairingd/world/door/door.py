"""Open or closed: accepts connections, which go through the lobby to an sshd each."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable

from pairingd.core.admission import Admission
from pairingd.core.penalties import Ban
from pairingd.errors import WorldError
from pairingd.process.holder import holder
from pairingd.world.door.connections import Connections, LoggedIn
from pairingd.world.door.events import Events
from pairingd.world.door.listener import listen, plain
from pairingd.world.door.lobby import Arrival, Lobby
from pairingd.world.sshd import Server

log = logging.getLogger(__name__)

_AT_ONCE = 32  # connections accepted before anything else is looked at
_PAUSE = 0.25  # seconds without accepting, where there are no descriptors


class Door:
    """`events` yields what happens at it, for one reader; `connections` outlive a closed door."""

    def __init__(
        self,
        sshd: Server,
        address: str,
        clock: Callable[[], float],
        admission: Admission,
        logged_in: LoggedIn = lambda _: {},
    ) -> None:
        """`logged_in` finds logins that sshd's log has lost."""
        self.events = Events()
        self.connections = Connections(sshd, clock, self.events, logged_in)
        self._address = address
        self._lobby = Lobby(admission, clock, self.connections, self.events)
        self._listener: socket.socket | None = None

    @property
    def port(self) -> int | None:
        """Where it is open, None when closed."""
        return self._listener.getsockname()[1] if self._listener else None

    async def open(self, *, preferred: int, fixed: int) -> None:
        """Listen on `fixed`, or else on `preferred`, or else on any port (0: no wish).

        Raises WorldError `door-blocked` when that port or address cannot be had.
        """
        try:
            self._listener = listen(self._address, fixed or preferred)
        except OSError as error:
            if not fixed and preferred and error.errno == errno.EADDRINUSE:
                await self.open(preferred=0, fixed=0)
                return
            wish = f"port {fixed or preferred}" if fixed or preferred else "any port"
            # os.strerror: asyncio and socket add the address to the text, in a form of their own.
            why = os.strerror(error.errno or 0)
            if error.errno == errno.EADDRINUSE:
                found = await asyncio.to_thread(holder, fixed)  # it looks at every process
                why += f", by {found}" if found else ""
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

    def take(self, arrival: Arrival) -> None:
        """One that we have connected ourselves; it goes the way of those who come. Call it only
        while the door is open.
        """
        self._lobby.enter(arrival)

    def admit(self, pid: int, *, guest: bool) -> None:
        """Answer to Authenticated: the login holds no place any more, and a guest's address is
        known. Nobody is let in or out by it: the key file does that, and `connections.cut`.
        """
        if visitor := self.connections.visitor(pid):
            self._lobby.entered(visitor, guest=guest)

    def ban(self, peer: str) -> Ban | None:
        """For how long this address is kept out now."""
        return self._lobby.ban(peer)

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
            self._lobby.enter(Arrival(accepted, plain(address[0])))

    def _listen_again(self, listener: socket.socket) -> None:
        if self._listener is listener:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)
