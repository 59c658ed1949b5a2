"""Looks at the guests' endpoints from a machine of the user's elsewhere, while the door is open.

Our own host key seen there proves an endpoint before any guest comes. What was seen holds for the
present door, until the mapping is lost or a later look finds something else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Protocol

from msgspec import Struct

from pairingd.core.addresses import is_outsider, is_public
from pairingd.core.model import Problem
from pairingd.core.records import replace
from pairingd.core.ways import Place
from pairingd.errors import PairingError, WorldError
from pairingd.intent import Intent
from pairingd.reconcile.arrivals import addresses, is_outside
from pairingd.reconcile.interruptible import Interruptible
from pairingd.reconcile.journal import journal
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.store import Store
from pairingd.world.keyscan import Sight

log = logging.getLogger(__name__)

_SEEN_HOLDS_S = 600.0  # until our door is looked at again
_WORTH_A_LOOK = frozenset(  # of the history
    {"mapping-opened", "mapping-lost", "endpoint-changed", "hole-opened"}
)
_FIRST_LOOK_AGAIN_S = 15.0  # where nobody was met; doubled each time
_ARRIVAL_TIMEOUT_S = 2.0  # from the end of a look until the door has reported the connection


class View(Protocol):
    @property
    def pid(self) -> int: ...

    @property
    def near(self) -> Place: ...

    @property
    def connect_error(self) -> str: ...

    @property
    def blind(self) -> bool: ...


class LookFrom(Protocol):
    """What this lane needs of the machine elsewhere; world.look_from has the real one."""

    destination: str

    def towards(self, host: str, port: int) -> AbstractAsyncContextManager[View]: ...

    def refused(self, why: str) -> PairingError: ...


class _Look(Struct, frozen=True):
    """None in `seen`: that machine could not look. `met_nobody` counts the looks in a row."""

    seen: bool | None
    at: float
    met_nobody: int = 0
    why: str = ""

    @property
    def next(self) -> float:
        if self.seen is not False:
            return self.at + _SEEN_HOLDS_S
        return self.at + min(_FIRST_LOOK_AGAIN_S * 2.0 ** (self.met_nobody - 1), _SEEN_HOLDS_S)


class Lookout(Lane):
    """`look_from` None: nowhere to look from. `places` are the present endpoints on the internet,
    `look` says what is seen at the near end of a forward. `named`: the user has named the machine
    for this, and hears of it where it is of no use.
    """

    first_retry = 15.0
    longest_retry = 600.0

    def __init__(
        self,
        intent: Intent,
        store: Store,
        look_from: LookFrom | None,
        places: Callable[[], Collection[Place]],
        door_port: Callable[[], int | None],
        look: Callable[[str, int], Awaitable[Sight]],
        clock: Callable[[], float],
        signals: Signals,
        *,
        named: bool = True,
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        signals.happened.connect(self._note)
        signals.stranger_came.connect(self._note_peer)
        signals.guest_came.connect(self._note_peer)
        self._store = store
        self._look_from = look_from
        self._places = places
        self._door_port = door_port
        self._look = look
        self._named = named
        self._looks: dict[Place, _Look] = {}
        self._door: int | None = None
        self._looking = Interruptible()
        self._peers: set[str] | None = None  # who has come during the look under way
        self._arrived = asyncio.Event()

    @property
    def needed(self) -> bool:
        """Whether somebody waits for what it sees."""
        return self._look_from is not None and self._named and self._door_port() is not None

    @property
    def outside(self) -> dict[Place, bool]:
        """What was seen through the door that is open now; true for our own host key."""
        if self._door is None or self._door != self._door_port():
            return {}
        return {place: one.seen for place, one in self._looks.items() if one.seen is not None}

    @property
    def problems(self) -> list[Problem]:
        """Endpoints at which nobody was met."""
        if self._look_from is None:
            return []
        seen, present = self.outside, self._places()
        return [
            _met_nobody(self._look_from.destination, place, self._looks[place].why)
            for place in present
            if seen.get(place) is False
        ]

    async def one_pass(self) -> float | None:
        door = self._door_port()
        if self._look_from is None or door is None:
            self._looks.clear()
            self._door = None
            return None
        if door != self._door:
            self._looks.clear()
            self._door = door
        places = self._places()
        self._looks = {place: one for place, one in self._looks.items() if place in places}
        for place in places:
            known = self._looks.get(place)
            due = known is None or not known.at <= self.clock() < known.next
            if due and self._door_port() == door:
                await self._looking.run(self._see(self._look_from, place, known))
        nexts = (one.next for one in self._looks.values())
        return min(nexts, default=self.clock() + _SEEN_HOLDS_S)

    def poke(self) -> None:
        """Once the door is closed there is nothing to see, and nobody waits for a look to end."""
        super().poke()
        if self._door_port() is None:
            self._looking.stop()

    async def _see(self, look_from: LookFrom, place: Place, known: _Look | None) -> None:
        """Raises WorldError where a machine that was named for it cannot look."""
        looks = self._looks
        try:
            sight, why = await self._sight(look_from, place)
        except PairingError as error:
            looks.pop(place, None)
            if self._named:
                raise
            log.debug("not seen from outside: %s", error)
            sight, why = Sight.UNSURE, ""
        if self._looks is not looks:
            return  # the mapping was lost meanwhile
        met_nobody = known.met_nobody if known else 0
        match sight:
            case Sight.OUR_DOOR:
                looks[place] = _Look(True, self.clock())
            case Sight.NOBODY | Sight.ANOTHER_SERVER:
                looks[place] = _Look(False, self.clock(), met_nobody + 1, why)
            case Sight.UNSURE:
                looks[place] = _Look(None, self.clock())

    async def _sight(self, look_from: LookFrom, place: Place) -> tuple[Sight, str]:
        """What is there, and why nobody is. Raises PairingError where it cannot be known."""
        with self._watching() as peers, self._journaling() as note:
            async with look_from.towards(*place) as view:
                note(view.pid)
                sight = await self._look(*view.near)
                why = view.connect_error
                if sight is Sight.NOBODY and view.blind:
                    raise look_from.refused(why)
            if sight is Sight.OUR_DOOR and not await self._came_from_outside(peers, place):
                raise _from_inside(look_from.destination)
        if sight is Sight.ANOTHER_SERVER:
            why = "another server answers there"
        return sight, why

    async def _came_from_outside(self, peers: set[str], place: Place) -> bool:
        """Whether the door has seen a connection over the internet meanwhile. From a machine in our
        own network a router shows us our own door.
        """
        own = await addresses(*place)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ARRIVAL_TIMEOUT_S):
                while not any(is_outside(one, own) for one in peers):
                    self._arrived.clear()
                    await self._arrived.wait()
                return True
        return False

    @contextmanager
    def _watching(self) -> Iterator[set[str]]:
        self._peers = set()
        try:
            yield self._peers
        finally:
            self._peers = None

    @contextmanager
    def _journaling(self) -> Iterator[Callable[[int], None]]:
        """Its ssh must not outlive a daemon that is killed meanwhile."""
        pids: list[int] = []

        def note(pid: int) -> None:
            journal(self._store, pid)
            pids.append(pid)

        try:
            yield note
        finally:
            self._store.forget_processes(*pids)

    def _note_peer(self, peer: str) -> None:
        """Whoever comes after a look that met nobody has shown it to be wrong by now."""
        if self._peers is not None:
            self._peers.add(peer)
            self._arrived.set()
            return
        for place, one in self._looks.items():
            if one.seen is False and _came_by(peer, place[0]):
                self._looks[place] = replace(one, seen=None)

    def _note(self, kind: str) -> None:
        if kind == "mapping-lost":
            self._looks = {}
        if kind in _WORTH_A_LOOK:
            self.poke()


def _came_by(peer: str, host: str) -> bool:
    """Of a name nothing is known: a router may turn us around in the name of its address."""
    return is_public(host) and is_outsider(peer, host, host)


def _from_inside(destination: str) -> WorldError:
    return WorldError(
        "look-from-failed",
        f"{destination} reaches the door, but does not seem to come over the internet",
        "name a machine outside of this network in [router] look_from",
    )


def _met_nobody(destination: str, place: Place, why: str) -> Problem:
    host, port = place
    return Problem(
        "not-seen-outside",
        f"{destination} does not see this machine's host key at {host} port {port}"
        + (f": {why}" if why else ""),
        "look for a firewall or a second router on the way, or set up a [relay]; until then guests "
        "on the internet may be unable to connect",
    )
