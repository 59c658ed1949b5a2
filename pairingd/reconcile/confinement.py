"""Guests in tmux: known by their processes, kept in the shared session and in their role."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from pairingd.core.confine import TmuxClient, steering, strays
from pairingd.core.model import Access
from pairingd.errors import WorldError
from pairingd.world.tmux import Observer, Owner, Ownership, Tmux

log = logging.getLogger(__name__)

_PACE_S = 1.0  # from one observer of tmux to the next, should tmux end each at once


class Place(Struct, frozen=True):
    """Where a guest is: by which forced command, and whether not where steering should have led."""

    command: int
    astray: bool


class Confinement:
    """Holds the guests' clients of one tmux session; `clients` has their owners by their names."""

    def __init__(
        self,
        tmux: Tmux,
        changed: Callable[[], None],
        silent: Callable[[], None],
        typed: Callable[[int, int], None],
    ) -> None:
        """`typed` hears of a connection whose guest has pressed a key, and of when."""
        self.clients: dict[str, Owner] = {}
        self._ownership = Ownership()
        self._tmux = tmux
        self._changed = changed
        self._silent = silent
        self._typed = typed
        self._typist = ""  # the client from which keys came last, "" where that is not known
        self._typed_at: dict[str, int] = {}  # by client, in tmux's whole seconds
        self._observer: Observer | None = None
        self._watching: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Have tmux keep guests in, and watch it. Raises WorldError where it cannot be watched."""
        await self._tmux.confine(self.clients)
        watched = self._observer and (self._observer.socket, self._observer.session)
        if watched and watched != (self._tmux.socket, self._tmux.target):
            self.stop()
        if self._watching is None or self._watching.done():
            self._observer = self._tmux.observer()
            self._watching = asyncio.create_task(self._follow(self._observer))
        if self._observer and not await self._observer.is_attached():
            raise self._tmux.unwatched()

    def release(self) -> None:
        """Nobody is to be kept in; what is still to be said is said to the same session."""
        self._tmux.release()
        self.clients = {}

    def stop(self) -> None:
        """Leave the session alone."""
        if self._watching:
            self._watching.cancel()
            self._watching = self._observer = None

    async def hold(self, guests: Mapping[int, Access]) -> dict[int, Place]:
        """Keep the guests in place, and tell where those are that have a terminal, by connection.

        `guests` has the role of each guest by the pid of their connection. Raises WorldError.
        """
        clients = await self._look(guests)
        of = self.clients
        writes = {name: guests[one.connection] is Access.WRITE for name, one in of.items()}
        observer = self._observer.pid if self._observer else None
        actions = steering(clients, writes, self._tmux.target, observer)
        if actions:
            await self._tmux.steer(actions)
            clients = await self._tmux.clients()
        out = strays(clients, writes, self._tmux.target)
        return {one.connection: Place(one.command, name in out) for name, one in of.items()}

    async def farewell(self, connections: Collection[int]) -> None:
        """Have tmux detach the guests of these connections: at once those that are known, then
        those that came just now, whom only a look finds.
        """
        if self._observer is None:
            return
        known = {name for name, one in self.clients.items() if one.connection in connections}
        self._observer.detach(known)
        try:
            clients = await self._tmux.clients()
        except WorldError:
            log.debug("tmux does not list its clients")
        else:
            self._observer.detach(self._owned(clients, connections).keys() - known)

    @property
    def typist(self) -> int | None:
        """The connection of the guest who typed last; None where that was the host, or nobody."""
        owner = self.clients.get(self._typist)
        return owner.connection if owner else None

    def _has_typed(self, client: str, at: int) -> None:
        if owner := self.clients.get(client):
            self._typed(owner.connection, at)
        latest = max(self._typed_at.values(), default=0)
        news = at != self._typed_at.get(client)  # of two in one second, who is seen second is later
        self._typed_at[client] = at
        if news and at >= latest and client != self._typist:
            self._typist = client
            self._changed()

    async def hosts(self, guests: Collection[int]) -> list[TmuxClient]:
        """The host's own terminals in the session. Raises WorldError."""
        clients = await self._tmux.terminals()
        of = self._owned(clients, guests)
        return [one for one in clients if one.name not in of]

    def _owned(self, clients: list[TmuxClient], guests: Collection[int]) -> dict[str, Owner]:
        box = self._tmux.box
        return self._ownership.of(clients, guests, boxed=bool(box and not box.account))

    async def _look(self, guests: Collection[int]) -> list[TmuxClient]:
        clients = await self._tmux.clients()
        found = self._owned(clients, guests)
        known, self.clients = self.clients, found
        names = {client.name for client in clients}
        for gone in self._typed_at.keys() - names:  # a terminal's name is used again
            del self._typed_at[gone]
        if self._typist not in names:
            self._typist = ""
        if found.keys() != known.keys():
            await self._tmux.confine(found)
            if self._observer:
                self._observer.ping()
        return clients

    async def _follow(self, observer: Observer) -> None:
        now = asyncio.get_running_loop().time
        begun = now()
        await observer.watch(lambda: self.clients, self._changed, self._silent, self._has_typed)
        self._changed()
        await asyncio.sleep(begun + _PACE_S - now())
