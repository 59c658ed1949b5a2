"""The hole lane: an endpoint at the provider's NAT while the router behind it forwards a port.

`core.cgnat` decides when; `world.outgoing.hole` keeps the connection that makes the hole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pairingd.core import cgnat
from pairingd.core.addresses import is_outsider
from pairingd.core.events import CommandPrinted
from pairingd.core.hostname import held_by_name
from pairingd.core.model import HostPort, Problem
from pairingd.core.ways import Endpoint, Verified
from pairingd.reconcile.announce import announce
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.world.outgoing.hole import Hole, MakeHole

_CHECK_INTERVAL_S = 15.0  # for a change of the router's port


class HoleLane(Lane):
    """`forwarded` returns the router's own address and port that lead to the open door. `make_hole`
    makes a hole to the STUN server `server`, None if none is configured. `own` returns our address
    here.
    """

    def __init__(
        self,
        intent: Intent,
        forwarded: Callable[[], HostPort | None],
        make_hole: MakeHole,
        server: str,
        hostname: str,
        own: Callable[[], str],
        clock: Callable[[], float],
        signals: Signals,
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        signals.guest_came.connect(lambda peer: self._note(peer, "guest"))
        signals.stranger_came.connect(lambda peer: self._note(peer, "stranger"))
        self._endpoint_changed = signals.endpoint_changed
        self._forwarded = forwarded
        self._make_hole = make_hole
        self._server = server
        self._hostname = hostname
        self._own = own
        self._hole: Hole | None = None
        self._task: asyncio.Task[None] | None = None
        self._seen: tuple[HostPort, Verified] | None = None
        self._noted: HostPort | None = None

    @property
    def needed(self) -> bool:
        return bool(self._server) and cgnat.source_port(self._forwarded()) is not None

    @property
    def opening(self) -> bool:
        """Whether the server has yet to answer."""
        return self.needed and not (self._hole and self._hole.answered.is_set())

    def outcome(self) -> object:
        return self._address, self.opening, str(self.error)

    @property
    def endpoint(self) -> Endpoint | None:
        address = self._address
        if address is None:
            return None
        verified = self._seen[1] if self._seen and self._seen[0] == address else None
        return Endpoint("cgnat", address.host, address.port, "stun", verified)

    @property
    def problems(self) -> list[Problem]:
        hole = self._hole
        problem = cgnat.stun_problem(self._server, hole.outside, hole.failure) if hole else None
        return [problem] if problem else []

    async def ready(self) -> None:
        """Wait until the server has answered or failed to."""
        await self.settle()
        if self._hole:
            await self._hole.answered.wait()

    async def one_pass(self) -> float | None:
        port = cgnat.source_port(self._forwarded()) if self._server else None
        if self._hole and self._hole.port != port:
            await self._end()
        if port is not None and self._hole is None and (hole := self._make_hole(port, self.poke)):
            self._hole = hole
            self._task = asyncio.create_task(hole.run())
        if address := self._address:
            self._report(address)
        return self.clock() + _CHECK_INTERVAL_S if self._hole else None

    @property
    def _address(self) -> HostPort | None:
        hole = self._hole
        if hole is None or hole.port != cgnat.source_port(self._forwarded()):
            return None
        return cgnat.outside(hole.outside)

    def _report(self, address: HostPort) -> None:
        if address != self._noted:
            self._noted = address
            text = f"the provider's NAT may lead {address.host}:{address.port} to the door"
            self._intent.happened("hole-opened", text, host=address.host, port=address.port)
        session = self._intent.state.session
        if session is None:
            return
        address = held_by_name(session.announced, self._hostname, address)
        if session.announced == address:
            return
        if session.announced is None:
            self._intent.apply(CommandPrinted(address))
        else:
            announce(self._intent, self._endpoint_changed, address)

    def _note(self, peer: str, seen: Verified) -> None:
        address = self._address
        if address is None or (self._seen and self._seen[0] == address and seen != "guest"):
            return  # a flood must not list the interfaces each time
        if is_outsider(peer, self._own(), address.host):
            self._seen = address, seen

    async def _end(self) -> None:
        task, self._task, self._hole = self._task, None, None
        if task:
            task.cancel()
            await asyncio.wait({task})
        if self._noted:
            self._noted = None
            self._intent.happened("hole-closed", "the provider's NAT is no longer kept open")
