"""Guests in tmux: identified by their processes, kept in the shared session and in their role."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from pairingd.core.confine import Detach, TmuxClient, steering, strays
from pairingd.core.model import Access
from pairingd.errors import WorldError
from pairingd.world.tmux import Observer, Owner, Ownership, Tmux, living

log = logging.getLogger(__name__)

_OBSERVER_INTERVAL_S = 1.0  # between two observers, if tmux ends each at once


class Place(Struct, frozen=True):
    """A guest's forced command, and whether they are not where steering should have led them."""

    command: int
    astray: bool


class Confinement:
    """Controls the guests' clients of one tmux session; `clients` has their owners by name."""

    def __init__(
        self,
        tmux: Tmux,
        changed: Callable[[], None],
        silent: Callable[[], None],
        typed: Callable[[int, int], None],
    ) -> None:
        """`typed` is called with the connection whose guest has pressed a key, and the time."""
        self.clients: dict[str, Owner] = {}
        self._ownership = Ownership()
        self._tmux = tmux
        self._changed = changed
        self._silent = silent
        self._typed = typed
        self._typist = ""  # the client that typed last, "" if unknown
        self._typed_at: dict[str, int] = {}  # by client, in tmux's whole seconds
        self._observer: Observer | None = None
        self._watching: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Have tmux confine guests, and watch it. Raises WorldError if it cannot be watched."""
        await self._tmux.confine(self.clients)
        watched = self._observer and (self._observer.socket, self._observer.session)
        if watched and watched != (self._tmux.socket, self._tmux.target):
            self.stop()
        if self._watching and self._observer and self._observer.has_ended:
            await asyncio.wait({self._watching})
        if self._watching is None or self._watching.done():
            self._observer = self._tmux.observer()
            self._watching = asyncio.create_task(self._follow(self._observer))
        if self._observer and not await self._observer.is_attached():
            raise self._tmux.unwatched()

    def release(self) -> None:
        """Confine nobody. Pending messages still go to the same session."""
        self._tmux.release()
        self.clients = {}

    def stop(self) -> None:
        """Stop watching the session."""
        if self._watching:
            self._watching.cancel()
            self._watching = self._observer = None

    async def hold(self, guests: Mapping[int, Access]) -> dict[int, Place]:
        """Keep the guests in place. Returns where those with a terminal are, by connection.

        `guests` has the role of each guest by the pid of their connection. Raises WorldError.
        """
        clients = await self._look(guests)
        owners = self.clients
        writes = {name: guests[owner.connection] is Access.WRITE for name, owner in owners.items()}
        observer = self._observer.pid if self._observer else None
        actions = steering(clients, writes, self._tmux.target, observer)
        if actions:
            await self._tmux.steer(actions)
            clients = await self._tmux.clients(self.clients)
        astray = strays(clients, writes, self._tmux.target)
        return {
            owner.connection: Place(owner.command, name in astray) for name, owner in owners.items()
        }

    async def farewell(self, connections: Collection[int]) -> None:
        """Have tmux detach the guests of these connections: the known clients at once, then new
        ones, which must be listed first.
        """
        known = {name for name, owner in self.clients.items() if owner.connection in connections}
        try:
            await self._tmux.steer(map(Detach, known))
            clients = await self._tmux.clients()
            await self._tmux.steer(map(Detach, self._owned(clients, connections).keys() - known))
        except WorldError as error:
            log.debug("not all are detached: %s", error)

    @property
    def typist(self) -> int | None:
        """The connection of the guest who typed last; None if it was the host, or nobody."""
        owner = self.clients.get(self._typist)
        return owner.connection if owner else None

    def _has_typed(self, client: str, at: int) -> None:
        if owner := self.clients.get(client):
            self._typed(owner.connection, at)
        latest = max(self._typed_at.values(), default=0)
        # Of two in one second, the one seen second is later.
        is_new = at != self._typed_at.get(client)
        self._typed_at[client] = at
        if is_new and at >= latest and client != self._typist:
            self._typist = client
            self._changed()

    async def hosts(self, guests: Collection[int]) -> list[str]:
        """The names of the host's own terminals in the session; none if tmux does not answer."""
        try:
            clients = self._living(await self._tmux.terminals())
        except WorldError as error:
            log.debug("the host's terminals are not known: %s", error)
            return []
        owners = self._owned(clients, guests)
        return [client.name for client in clients if client.name not in owners]

    def _owned(self, clients: list[TmuxClient], guests: Collection[int]) -> dict[str, Owner]:
        return self._ownership.of(clients, guests, boxed=self._has_pids_of_its_own)

    def _living(self, clients: list[TmuxClient]) -> list[TmuxClient]:
        return clients if self._has_pids_of_its_own else living(clients)

    @property
    def _has_pids_of_its_own(self) -> bool:
        box = self._tmux.box
        return bool(box and not box.account) and sys.platform == "linux"

    async def _look(self, guests: Collection[int]) -> list[TmuxClient]:
        clients = self._living(await self._tmux.clients(self.clients))
        owners = self._owned(clients, guests)
        known, self.clients = self.clients, owners
        names = {client.name for client in clients}
        for gone in self._typed_at.keys() - names:  # terminal names are reused
            del self._typed_at[gone]
        if self._typist not in names:
            self._typist = ""
        if owners.keys() != known.keys():
            await self._tmux.confine(owners)
            if self._observer:
                self._observer.ping()
        return clients

    async def _follow(self, observer: Observer) -> None:
        now = asyncio.get_running_loop().time
        begun = now()
        await observer.watch(lambda: self.clients, self._changed, self._silent, self._has_typed)
        self._changed()
        await asyncio.sleep(begun + _OBSERVER_INTERVAL_S - now())
