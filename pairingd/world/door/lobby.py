"""Accepted sockets until they get an sshd or go, as core.admission decides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from msgspec import Struct

from pairingd.core.addresses import is_public
from pairingd.core.admission import Admission, End, Refusal, Refuse, Start, Visitor
from pairingd.core.penalties import Ban
from pairingd.core.ssh_wire import MAX_IDENTIFICATION, is_identified
from pairingd.errors import WorldError
from pairingd.world.door.connections import Connections
from pairingd.world.door.events import Events, Reached, TurnedAway, Unjournaled
from pairingd.world.door.farewell import Farewells
from pairingd.world.door.listener import descriptors_left
from pairingd.world.door.progress import is_over

log = logging.getLogger(__name__)

_SHORTEST_SLEEP_S = 0.01
_MAX_TURNED_AWAY = 1024  # events of one session


class Arrival(Struct, frozen=True):
    """A socket that is connected to `peer`. `dialed` as in Connected. The lobby calls `left` when
    it is over, with whether an SSH client was there.
    """

    socket: socket.socket
    peer: str
    dialed: str = ""
    left: Callable[[bool], None] | None = None


class Lobby:
    """One descriptor per visitor, and one timer for all, while there are any."""

    def __init__(
        self,
        admission: Admission,
        clock: Callable[[], float],
        connections: Connections,
        events: Events,
    ) -> None:
        self._admission = admission
        self._clock = clock
        self._connections = connections
        self._events = events
        self._turned_away: set[tuple[str, Refusal, float]] = set()
        self._served: set[asyncio.Task[None]] = set()
        self._waiting: dict[Visitor, Arrival] = {}
        self._seen: dict[Visitor, int] = {}  # bytes of a line that is not whole yet
        self._farewells = Farewells()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None

    def enter(self, new: Arrival) -> None:
        """Take over its socket."""
        new.socket.setblocking(False)
        visitor = self._admission.arrive(new.peer, self._clock())
        self._waiting[visitor] = new
        if not new.dialed and is_public(new.peer):
            self._events.put_nowait(Reached(new.peer))
        asyncio.get_running_loop().add_reader(new.socket, self._readable, visitor)
        self._readable(visitor)

    def _look_soon(self) -> None:
        """Look once for all that happens until then: in a flood that is a lot."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Do what is due, and come back when more is."""
        self._soon = None
        for visitor, arrival in tuple(self._waiting.items()):
            # The loop no longer watches a visitor who spoke.
            if visitor.spoke and is_over(arrival.socket):
                self._gone(visitor)
        now = self._clock()
        progress = self._connections.progress
        for decision in self._admission.decide(now, progress, room=self._room()):
            match decision:
                case Refuse(visitor, refusal):
                    self._refuse(visitor, refusal)
                case Start(visitor):
                    arrival = self._take_out(visitor)
                    with contextlib.suppress(OSError):
                        arrival.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
                    task = asyncio.create_task(self._serve(visitor, arrival))
                    self._served.add(task)
                    task.add_done_callback(self._served.discard)
                case End(visitor, refusal):
                    self._turn_away(self._connections.end(visitor, refusal), refusal)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if (at := self._admission.next_look(now)) is not None:
            delay = max(at - now, _SHORTEST_SLEEP_S)
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    async def _serve(self, visitor: Visitor, arrival: Arrival) -> None:
        """Serve it; the place is freed whatever fails."""
        accepted, peer = arrival.socket, arrival.peer
        try:
            connection = await self._connections.serve(visitor, accepted, peer, arrival.dialed)
            if connection.authenticated:
                self._admission.excuse(visitor)
            elif connection.refused:
                self._admission.login_refused(visitor)
        except Exception as error:
            if isinstance(error, WorldError):
                self._events.put_nowait(Unjournaled(error))
            elif not isinstance(error, OSError):
                log.exception("a defect")
            log.warning("no sshd for the connection from %s: %s", peer, error)
            self._admission.excuse(visitor)
            self._farewells.refuse(accepted, Refusal.NO_RESOURCES)
            self._turn_away(peer, Refusal.NO_RESOURCES)
        finally:
            self._left(visitor, arrival)
            self._look_soon()

    def entered(self, visitor: Visitor, *, guest: bool) -> None:
        """The visitor logged in; `guest`: by a key that is invited."""
        self._admission.entered(visitor, guest=guest)
        self._look_soon()

    def close(self) -> None:
        """The session is over: refuse all who wait, and forget the known sources."""
        self._admission.penalties.forget_known()
        for visitor in tuple(self._waiting):
            self._admission.excuse(visitor)
            self._refuse(visitor, Refusal.CLOSED)
        self._turned_away.clear()

    def _room(self) -> int:
        used = len(self._waiting) + len(self._farewells) + self._connections.descriptors()
        return len(self._waiting) + descriptors_left(used)

    def _refuse(self, visitor: Visitor, refusal: Refusal) -> None:
        arrival = self._take_out(visitor)
        ban = self.ban(arrival.peer) if refusal is Refusal.BANNED else None
        wait_s = ban.until - self._clock() if ban else 0.0
        self._farewells.refuse(arrival.socket, refusal, wait_s)
        self._left(visitor, arrival)
        self._turn_away(arrival.peer, refusal, ban)

    def _left(self, visitor: Visitor, arrival: Arrival) -> None:
        self._admission.left(visitor, self._clock())
        if arrival.left:
            arrival.left(visitor.spoke)

    def _turn_away(self, peer: str, refusal: Refusal, ban: Ban | None = None) -> None:
        """Once for each address and reason: a flood must not fill the log."""
        known, entry = self._turned_away, (peer, refusal, ban.seconds if ban else 0.0)
        if entry not in known and len(known) < _MAX_TURNED_AWAY:
            known.add(entry)
            self._events.put_nowait(TurnedAway(peer, refusal, ban))

    def ban(self, peer: str) -> Ban | None:
        """For how long this address is banned now."""
        return self._admission.ban(peer, self._clock())

    def _take_out(self, visitor: Visitor) -> Arrival:
        arrival = self._waiting.pop(visitor)
        self._seen.pop(visitor, None)
        asyncio.get_running_loop().remove_reader(arrival.socket)
        return arrival

    def _readable(self, visitor: Visitor) -> None:
        """Look for the client's identification line. sshd must find it unread."""
        self._look_soon()
        accepted = self._waiting[visitor].socket
        try:
            seen = accepted.recv(MAX_IDENTIFICATION, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            seen = b""
        identified = is_identified(seen)
        if len(seen) == self._seen.get(visitor, 0):  # readable without anything new: its end
            self._gone(visitor)
        elif identified:
            # It stays readable while it waits, which says nothing new.
            asyncio.get_running_loop().remove_reader(accepted)
            self._admission.spoke(visitor)
        elif identified is None:
            self._seen[visitor] = len(seen)
            with contextlib.suppress(OSError):
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(seen) + 1)
        else:
            self._refuse(visitor, Refusal.NOT_SSH)

    def _gone(self, visitor: Visitor) -> None:
        arrival = self._take_out(visitor)
        arrival.socket.close()
        self._left(visitor, arrival)
