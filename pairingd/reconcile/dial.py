"""The dial lane: connects to guests who connect at the same time, while they may enter.

A visit uses its ports up: the guest's proxy program cannot bind its port again for a minute or more
(TIME_WAIT). So each login changes the ports, and after the visit the host gets the guest's next
command.
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
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.world.door import Arrival, Door
from pairingd.world.outgoing.dialer import PortTaken
from pairingd.world.outgoing.dialer import dial as connect
from pairingd.world.outgoing.hole import Hole, MakeHole

log = logging.getLogger(__name__)

_RETRY_PAUSE_S = 5.0  # after a connection without an ssh client


class _Line(Struct):
    """A guest who is dialed by these ports."""

    dial: Dial
    hole: Hole | None
    tasks: list[asyncio.Task[None]]


class DialLane(Lane):
    """`outside` returns this network's public address for a guest at the given one, "" if unknown.
    `make_hole` makes a hole to the STUN server `server`, None if none is configured.
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
        self._connected: Counter[str] = Counter()  # dialed connections
        self._came: dict[str, str] = {}  # our address at which each guest has come, or ""
        self._aside = Aside()

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The known endpoints of the dialed guests, by invitation."""
        endpoints = {}
        for id_, invitation in self._to_dial().items():
            if invitation.dial and (address := self._address(id_, invitation.dial)):
                verified: Verified | None = "guest" if self._came.get(id_) == address.host else None
                endpoints[id_] = Endpoint(
                    "dial",
                    address.host,
                    address.port,
                    verified=verified,
                    proxy=dial.proxy(invitation.dial, address),
                    guest=invitation.guest,
                )
        return endpoints

    @property
    def problems(self) -> list[Problem]:
        known = self.endpoints
        holes = [line.hole for line in self._lines.values() if line.hole]
        hole_problems = [
            cgnat.stun_problem(self._server, hole.outside, hole.failure) for hole in holes
        ]
        unknown = [
            invitation.guest for id_, invitation in self._to_dial().items() if id_ not in known
        ]
        return [*(problem for problem in hole_problems if problem), *map(dial.no_address, unknown)]

    @property
    def needed(self) -> bool:
        return bool(self._to_dial())

    async def ready(self) -> None:
        """Wait until each guest is dialed, and the STUN server has answered or failed to."""
        await self.settle()
        holes = [line.hole for line in self._lines.values() if line.hole]
        await asyncio.gather(*(hole.answered.wait() for hole in holes))

    async def one_pass(self) -> float | None:
        invitations = self._to_dial()
        for id_, line in tuple(self._lines.items()):
            invitation = invitations.get(id_)
            if (
                invitation is None
                or invitation.dial is None
                or _ports(invitation.dial) != _ports(line.dial)
            ):
                await self._end(id_, line)
        for id_, invitation in invitations.items():
            if invitation.dial is None:
                continue
            if id_ not in self._lines:
                self._begin(invitation, invitation.dial)
            hole = self._lines[id_].hole
            if hole and not hole.answered.is_set():
                continue
            address = self._address(id_, invitation.dial)
            if address and dial.needs_announcing(
                invitation.dial, address, inside=self._connected[id_] > 0
            ):
                self.note_printed(id_, address)
                self._dial_changed(id_)
        return plan.next_deadline(self._intent.state, self.clock()) if invitations else None

    def note_printed(self, id_: str, address: HostPort) -> None:
        """Note that the host has the guest's command."""
        if (invitation := self._to_dial().get(id_)) and invitation.dial:
            self._intent.apply(Dialing(id_, replace(invitation.dial, printed=address)))

    def _to_dial(self) -> dict[str, Invitation]:
        if self._door.port is None:
            return {}
        return dial.to_dial(self._intent.state, self.clock())

    def _address(self, id_: str, dialed: Dial) -> HostPort | None:
        """As the STUN server has seen it, else with the port that we send from."""
        line = self._lines.get(id_)
        hole = line.hole if line and _ports(line.dial) == _ports(dialed) else None
        if seen := cgnat.outside(hole.outside if hole else None):
            return seen
        host = self._outside(dialed.address)
        return HostPort(host, dialed.host_port) if host else None

    def _begin(self, invitation: Invitation, dialed: Dial) -> None:
        hole = self._make_hole(dialed.host_port, self.poke) if ":" not in dialed.address else None
        tasks = [asyncio.create_task(self._dial(invitation, dialed))]
        if hole:
            tasks.append(asyncio.create_task(hole.run()))
        self._lines[invitation.id] = _Line(dialed, hole, tasks)
        if invitation.id not in self._came:
            self._came[invitation.id] = ""
            data = {
                "invitation": invitation.id,
                "guest": invitation.guest,
                "address": dialed.address,
            }
            self._intent.happened(
                "dialing", f"dialing {invitation.guest} at {dialed.address}", **data
            )

    async def _end(self, id_: str, line: _Line) -> None:
        del self._lines[id_]
        for task in line.tasks:
            task.cancel()
        await asyncio.wait(line.tasks)
        if id_ not in self._to_dial():
            del self._came[id_]
            text = f"no longer dialing {line.dial.address}"
            self._intent.happened("dial-ended", text, invitation=id_)

    async def _dial(self, invitation: Invitation, dialed: Dial) -> None:
        """Dial until the guest has come, which uses the ports up."""
        while True:
            try:
                connected = await connect(dialed.host_port, dialed.address, dialed.guest_port)
            except PortTaken:
                self._refresh(invitation.id)
                return
            if invitation.id not in self._to_dial():
                connected.close()
                return
            ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._connected[invitation.id] += 1
            self._aside.run(self._until_left(invitation.id, ended))
            self._door.take(Arrival(connected, dialed.address, invitation.id, ended.set_result))
            if await asyncio.shield(ended):
                self._refresh(invitation.id)
                return
            await asyncio.sleep(_RETRY_PAUSE_S)

    async def _until_left(self, id_: str, ended: asyncio.Future[bool]) -> None:
        """Count the connection until it ends, even if the ports change before."""
        await ended
        self._connected[id_] -= 1
        self.poke()

    def _guest_came(self, id_: str) -> None:
        """Change the ports: the guest may connect a second time during the visit."""
        if invitation := self._to_dial().get(id_):
            address = self._address(id_, invitation.dial) if invitation.dial else None
            self._came[id_] = address.host if address else ""
            self._refresh(id_)

    def _refresh(self, id_: str) -> None:
        if (invitation := self._to_dial().get(id_)) and invitation.dial:
            refreshed = dial.refreshed(invitation.dial, secrets.randbits(64))
            self._intent.apply(Dialing(id_, refreshed))


def _ports(dialed: Dial) -> tuple[str, int, int]:
    return dialed.address, dialed.host_port, dialed.guest_port
