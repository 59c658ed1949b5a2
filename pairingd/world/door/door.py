"""The door, open or closed: each accepted connection goes through the lobby to an sshd."""

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
from pairingd.world.door.connections import Connections, Journal, LoggedIn
from pairingd.world.door.events import Events
from pairingd.world.door.listener import listen, plain
from pairingd.world.door.lobby import Arrival, Lobby
from pairingd.world.sshd import Sshd

log = logging.getLogger(__name__)

_MAX_ACCEPTS = 32  # connections accepted before the loop does anything else
_PAUSE_S = 0.25  # without accepting, if no descriptors are left


class Door:
    """`events` yields what happens there, for one reader; `connections` outlive a closed door."""

    def __init__(
        self,
        sshd: Callable[[], Sshd],
        address: str,
        clock: Callable[[], float],
        admission: Admission,
        logged_in: LoggedIn = lambda _: {},
        journal: Journal = lambda _: None,
    ) -> None:
        """`sshd` returns what serves the next connection. `logged_in` finds logins that sshd's log
        has lost. `journal` is called with the pid of each new sshd, and raises WorldError if
        that cannot be written down: then the client is refused.
        """
        self.events = Events()
        self.connections = Connections(sshd, clock, self.events, logged_in, journal)
        self._address = address
        self._lobby = Lobby(admission, clock, self.connections, self.events)
        self._listener: socket.socket | None = None

    @property
    def port(self) -> int | None:
        """The port it listens on, None when closed."""
        return self._listener.getsockname()[1] if self._listener else None

    async def open(self, *, preferred: int, fixed: int) -> None:
        """Listen on `fixed`, or else on `preferred`, or else on any port (0: no preference).

        Raises WorldError `door-blocked` if that port or address is not available.
        """
        try:
            self._listener = listen(self._address, fixed or preferred)
        except OSError as error:
            if not fixed and preferred and error.errno == errno.EADDRINUSE:
                await self.open(preferred=0, fixed=0)
                return
            wish = f"port {fixed or preferred}" if fixed or preferred else "any port"
            # os.strerror: asyncio and socket add the address to the text, in a form of their own.
            reason = os.strerror(error.errno or 0)
            if error.errno == errno.EADDRINUSE:
                holder_name = await asyncio.to_thread(holder, fixed)  # it looks at every process
                reason += f", by {holder_name}" if holder_name else ""
            raise WorldError(
                "door-blocked",
                f"cannot listen on {self._address or 'any address'}, {wish}: {reason}",
                "choose another [door] port or address in config.toml",
            ) from None
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no new connection; existing ones stay until they are cut."""
        if self._listener:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
            self._lobby.close()

    def take(self, arrival: Arrival) -> None:
        """Serve a connection that we made ourselves like one that came in. Call it only while the
        door is open.
        """
        self._lobby.enter(arrival)

    def admit(self, pid: int, *, guest: bool) -> None:
        """Answer to Authenticated: frees the login's place; a guest's address becomes known. It
        lets nobody in or out: the key file and `connections.cut` do that.
        """
        if visitor := self.connections.visitor(pid):
            self._lobby.entered(visitor, guest=guest)

    def ban(self, peer: str) -> Ban | None:
        """For how long this address is banned now."""
        return self._lobby.ban(peer)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 - the reader is removed with it
        for _ in range(_MAX_ACCEPTS):
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionError:
                continue
            except OSError as error:
                # Out of descriptors: new connections wait in the kernel's queue meanwhile.
                log.warning("cannot accept: %s", error.strerror)
                listener = self._listener
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener.fileno())
                loop.call_later(_PAUSE_S, self._listen_again, listener)
                break
            if not address:  # macOS has none if the connection was reset in the queue
                accepted.close()
                continue
            self._lobby.enter(Arrival(accepted, plain(address[0])))

    def _listen_again(self, listener: socket.socket) -> None:
        if self._listener is listener:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)
