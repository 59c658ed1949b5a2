"""Looks at the guests' endpoints from another machine of the user's while the door is open.

Our own host key seen there proves an endpoint before any guest connects. A result is valid for the
present door until the mapping is lost or a later look sees something else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from msgspec import Struct

from pairingd.core.addresses import is_outsider, is_public
from pairingd.core.model import Problem
from pairingd.core.records import replace
from pairingd.core.ways import Place
from pairingd.errors import PairingError, WorldError
from pairingd.reconcile.arrivals import addresses, outsiders
from pairingd.reconcile.interruptible import Interruptible
from pairingd.reconcile.journal import journal
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.keyscan import Sight
from pairingd.world.look_from import LookFrom

log = logging.getLogger(__name__)

_LOOK_VALID_S = 600.0  # of a look that was not negative
_LOOK_EVENTS = frozenset(  # of the history, that start a look
    {"mapping-opened", "mapping-lost", "endpoint-changed", "hole-opened"}
)
_FIRST_RETRY_S = 15.0  # after a look that did not see our door; doubled each time
_ARRIVAL_TIMEOUT_S = 2.0  # from the end of a look until the door has reported the connection


class _Look(Struct, frozen=True):
    """`seen` is None if that machine could not look. `failures` counts negative looks in a row."""

    seen: bool | None
    at: float
    failures: int = 0
    reason: str = ""

    @property
    def next(self) -> float:
        if self.seen is not False:
            return self.at + _LOOK_VALID_S
        return self.at + min(_FIRST_RETRY_S * 2.0 ** (self.failures - 1), _LOOK_VALID_S)


class Lookout(Lane):
    """`look_from` is None if there is no such machine. `places` returns the present endpoints on
    the internet, `look` what answers at the near end of a forward. `named`: the user has configured
    the machine for this, so its failures are reported.
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
        named: bool,
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
        self._peers: set[str] | None = None  # that connected during the present look
        self._arrived = asyncio.Event()

    @property
    def needed(self) -> bool:
        return self._look_from is not None and self._door_port() is not None

    @property
    def awaited(self) -> bool:
        """Whether requests wait for its result."""
        return self.needed and self._named

    @property
    def outside(self) -> dict[Place, bool]:
        """The results for the present door by endpoint; True for our own host key."""
        if self._door is None or self._door != self._door_port():
            return {}
        return {place: look.seen for place, look in self._looks.items() if look.seen is not None}

    @property
    def problems(self) -> list[Problem]:
        """The endpoints that did not show our host key."""
        if self._look_from is None:
            return []
        seen, present = self.outside, self._places()
        return [
            _not_seen(self._look_from.destination, place, self._looks[place].reason)
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
        self._looks = {place: look for place, look in self._looks.items() if place in places}
        for place in places:
            known = self._looks.get(place)
            due = known is None or not known.at <= self.clock() < known.next
            if due and self._door_port() == door:
                await self._looking.run(self._see(self._look_from, place, known))
        times = (look.next for look in self._looks.values())
        return min(times, default=self.clock() + _LOOK_VALID_S)

    def poke(self) -> None:
        """Also stop the present look if the door is closed."""
        super().poke()
        if self._door_port() is None:
            self._looking.stop()

    async def _see(self, look_from: LookFrom, place: Place, known: _Look | None) -> None:
        """Raises PairingError if a configured machine cannot look."""
        looks = self._looks
        try:
            sight, reason = await self._sight(look_from, place)
        except PairingError as error:
            looks.pop(place, None)
            if self._named:
                raise
            log.debug("not seen from outside: %s", error)
            sight, reason = Sight.UNSURE, ""
        if self._looks is not looks:
            return  # the mapping was lost meanwhile
        failures = known.failures if known else 0
        match sight:
            case Sight.OUR_DOOR:
                looks[place] = _Look(True, self.clock())
            case Sight.NOBODY | Sight.ANOTHER_SERVER:
                looks[place] = _Look(False, self.clock(), failures + 1, reason)
            case Sight.UNSURE:
                looks[place] = _Look(None, self.clock())

    async def _sight(self, look_from: LookFrom, place: Place) -> tuple[Sight, str]:
        """What answers there, or the reason why nothing does. Raises PairingError if unknown."""
        with self._watching() as peers, self._journaling() as note:
            async with look_from.towards(*place) as view:
                note(view.pid)
                sight = await self._look(*view.near)
                reason = view.connect_error
                if sight is Sight.NOBODY and view.blind:
                    raise look_from.refused(reason)
            if sight is Sight.OUR_DOOR and not await self._came_from_outside(peers, place):
                raise _from_inside(look_from.destination)
        if sight is Sight.ANOTHER_SERVER:
            reason = "another server answers there"
        return sight, reason

    async def _came_from_outside(self, peers: set[str], place: Place) -> bool:
        """Whether the door saw a connection over the internet during the look. To a machine in our
        own network a router can show our door, too (hairpin).
        """
        own_addresses = await addresses(*place)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ARRIVAL_TIMEOUT_S):
                while not outsiders(peers, own_addresses):
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
        """Journal its ssh, so that this does not outlive a killed daemon."""
        pids: list[int] = []

        def note(pid: int) -> None:
            journal(self._store, pid)
            pids.append(pid)

        try:
            yield note
        finally:
            self._store.forget_processes(*pids)

    def _note_peer(self, peer: str) -> None:
        """A connection after a negative look refutes it."""
        if self._peers is not None:
            self._peers.add(peer)
            self._arrived.set()
            return
        for place, look in self._looks.items():
            if look.seen is False and _came_by(peer, place[0]):
                self._looks[place] = replace(look, seen=None)

    def _note(self, kind: str) -> None:
        if kind == "mapping-lost":
            self._looks = {}
        if kind in _LOOK_EVENTS:
            self.poke()


def _came_by(peer: str, host: str) -> bool:
    """Whether `peer` came over the internet by `host`. False for a name: a hairpin connection comes
    from its address, which is unknown.
    """
    return is_public(host) and is_outsider(peer, host, host)


def _from_inside(destination: str) -> WorldError:
    return WorldError(
        "look-from-failed",
        f"{destination} reaches the door, but does not seem to come over the internet",
        "name a machine outside of this network in [router] look_from",
    )


def _not_seen(destination: str, place: Place, reason: str) -> Problem:
    host, port = place
    return Problem(
        "not-seen-outside",
        f"{destination} does not see this machine's host key at {host} port {port}"
        + (f": {reason}" if reason else ""),
        "look for a firewall or a second router on the way, or set up a [relay]; until then guests "
        "on the internet may be unable to connect",
    )
