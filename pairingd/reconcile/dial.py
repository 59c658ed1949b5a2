"""The dial lane: connects to guests who connect at the same time, while they may enter.

A visit uses its ports up: ssh's program on the guest's side cannot have its port again for a minute
or more (TIME_WAIT). So there are other ports from the login on, and the host hears of the guest's
next command after the visit.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from pairingd.core import cgnat, dial, plan
from pairingd.core.events import Dialing
from pairingd.core.model import Dial, HostPort, Invitation, Problem
from pairingd.core.records import replace
from pairingd.core.ways import Endpoint, Verified
from pairingd.intent import Intent
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.world.door import Arrival, Door
from pairingd.world.outgoing.dialer import PortTaken
from pairingd.world.outgoing.dialer import dial as connect
from pairingd.world.outgoing.hole import Hole, MakeHole

log = logging.getLogger(__name__)

_SILENT_S = 5.0  # of rest after a connection where no ssh client was


class _Line(Struct):
    """One guest who is dialed, by these ports."""

    dial: Dial
    hole: Hole | None
    tasks: list[asyncio.Task[None]]


class DialLane(Lane):
    """`outside` is this network's public address for a guest at that one, "" if it is not known.
    `make_hole` is to the STUN server `server`, and makes None where none is configured.
    """

    def __init__(
        self,
        intent: Intent,
        door: Door,
        outside: Callable[[str], str],
        make_hole: MakeHole,
        server: str,
        clock: Callable[[], float],
        signals: Signals,
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        signals.wishes_changed.connect(self.poke)
        signals.guest_answered.connect(self._guest_came)
        self._door = door
        self._outside = outside
        self._make_hole = make_hole
        self._server = server
        self._dial_changed = signals.dial_changed
        self._lines: dict[str, _Line] = {}  # by invitation
        self._connected: Counter[str] = Counter()  # connections that were dialed
        self._came: dict[str, str] = {}  # who has come, and the address of ours at which
        self._aside = Aside()

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """Where those who are dialed connect to, by invitation, as far as it is known."""
        found = {}
        for id_, one in self._to_dial().items():
            if one.dial and (way := self._way(id_, one.dial)):
                verified: Verified | None = "guest" if self._came.get(id_) == way.host else None
                found[id_] = Endpoint(
                    *("dial", way.host, way.port),
                    verified=verified,
                    proxy=dial.proxy(one.dial, way),
                    guest=one.guest,
                )
        return found

    @property
    def problems(self) -> list[Problem]:
        known = self.endpoints
        holes = [one.hole for one in self._lines.values() if one.hole]
        found = [cgnat.stun_problem(self._server, one.outside, one.failure) for one in holes]
        unknown = [one.guest for id_, one in self._to_dial().items() if id_ not in known]
        return [*(one for one in found if one), *map(dial.no_address, unknown)]

    @property
    def needed(self) -> bool:
        return bool(self._to_dial())

    async def ready(self) -> None:
        """Until each guest is dialed, and the STUN server has answered, or failed to."""
        await self.settle()
        holes = [one.hole for one in self._lines.values() if one.hole]
        await asyncio.gather(*(one.answered.wait() for one in holes))

    async def one_pass(self) -> float | None:
        wanted = self._to_dial()
        for id_, line in tuple(self._lines.items()):
            one = wanted.get(id_)
            if one is None or one.dial is None or _ports(one.dial) != _ports(line.dial):
                await self._end(id_, line)
        for id_, one in wanted.items():
            if one.dial is None:
                continue
            if id_ not in self._lines:
                self._begin(one, one.dial)
            hole = self._lines[id_].hole
            if hole and not hole.answered.is_set():
                continue
            way = self._way(id_, one.dial)
            if way and dial.needs_announcing(one.dial, way, inside=self._connected[id_] > 0):
                self.note_printed(id_, way)
                self._dial_changed(id_)
        return plan.next_deadline(self._intent.state, self.clock()) if wanted else None

    def note_printed(self, invitation: str, way: HostPort) -> None:
        """The host has this command for the guest."""
        if (one := self._to_dial().get(invitation)) and one.dial:
            self._intent.apply(Dialing(invitation, replace(one.dial, printed=way)))

    def _to_dial(self) -> dict[str, Invitation]:
        if self._door.port is None:
            return {}
        return dial.to_dial(self._intent.state, self.clock())

    def _way(self, invitation: str, dialed: Dial) -> HostPort | None:
        """As the STUN server has seen it, else at the port that we send from."""
        line = self._lines.get(invitation)
        hole = line.hole if line and _ports(line.dial) == _ports(dialed) else None
        if seen := cgnat.outside(hole.outside if hole else None):
            return seen
        host = self._outside(dialed.address)
        return HostPort(host, dialed.host_port) if host else None

    def _begin(self, one: Invitation, dialed: Dial) -> None:
        hole = self._make_hole(dialed.host_port, self.poke) if ":" not in dialed.address else None
        tasks = [asyncio.create_task(self._dial(one, dialed))]
        if hole:
            tasks.append(asyncio.create_task(hole.run()))
        self._lines[one.id] = _Line(dialed, hole, tasks)
        if one.id not in self._came:
            self._came[one.id] = ""
            about = {"invitation": one.id, "guest": one.guest, "address": dialed.address}
            self._intent.happened("dialing", f"dialing {one.guest} at {dialed.address}", **about)

    async def _end(self, invitation: str, line: _Line) -> None:
        del self._lines[invitation]
        for task in line.tasks:
            task.cancel()
        await asyncio.wait(line.tasks)
        if invitation not in self._to_dial():
            del self._came[invitation]
            text = f"no longer dialing {line.dial.address}"
            self._intent.happened("dial-ended", text, invitation=invitation)

    async def _dial(self, one: Invitation, dialed: Dial) -> None:
        """Until its guest has come, who takes the ports with them."""
        while True:
            try:
                connected = await connect(dialed.host_port, dialed.address, dialed.guest_port)
            except PortTaken:
                self._refresh(one.id)
                return
            if one.id not in self._to_dial():
                connected.close()
                return
            over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._connected[one.id] += 1
            self._aside.run(self._until_left(one.id, over))
            self._door.take(Arrival(connected, dialed.address, one.id, over.set_result))
            if await asyncio.shield(over):
                self._refresh(one.id)
                return
            await asyncio.sleep(_SILENT_S)

    async def _until_left(self, invitation: str, over: asyncio.Future[bool]) -> None:
        """Also where the ports are others by then."""
        await over
        self._connected[invitation] -= 1
        self.poke()

    def _guest_came(self, invitation: str) -> None:
        """The guest is in; they may come a second time meanwhile."""
        if one := self._to_dial().get(invitation):
            way = self._way(invitation, one.dial) if one.dial else None
            self._came[invitation] = way.host if way else ""
            self._refresh(invitation)

    def _refresh(self, invitation: str) -> None:
        if (one := self._to_dial().get(invitation)) and one.dial:
            fresh = dial.refreshed(one.dial, secrets.randbits(64))
            self._intent.apply(Dialing(invitation, fresh))


def _ports(one: Dial) -> tuple[str, int, int]:
    return one.address, one.host_port, one.guest_port
