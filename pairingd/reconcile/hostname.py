"""The hostname lane: sees that the user's name leads to this network, and has it updated if not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pairingd.core.hostname import Name
from pairingd.core.model import HostPort, Problem
from pairingd.intent import Intent
from pairingd.reconcile.announce import announce
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals

Resolve = Callable[[str], Awaitable[frozenset[str]]]
Update = Callable[[str, str], Awaitable[str]]


class HostnameLane(Lane):
    """`name` "": there is none. `way` is where guests come in, with this network's address, None
    while it is not known. `update` has the name lead to an address, and says why it failed; None:
    the user does that.
    """

    longest_retry = 60.0

    def __init__(
        self,
        intent: Intent,
        name: str,
        way: Callable[[], HostPort | None],
        resolve: Resolve,
        update: Update | None,
        clock: Callable[[], float],
        signals: Signals,
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        self._way_in_changed = signals.endpoint_changed
        self._name = Name(name)
        self._way = way
        self._resolve = resolve
        self._update = update

    @property
    def needed(self) -> bool:
        return bool(self._name.hostname) and self._way() is not None

    @property
    def name(self) -> Name | None:
        """As far as it was looked at for the address that this network has now."""
        way = self._way()
        return self._name if self._name.hostname and way and way.host == self._name.here else None

    @property
    def problems(self) -> list[Problem]:
        problem = self.name.problem() if self.name else None
        return [problem] if problem else []

    async def one_pass(self) -> float | None:
        way = self._way()
        if not self._name.hostname or way is None:
            return None
        await self._look(way.host)
        if self._update and self._name.needs_update(self.clock()):
            await self._have_updated(self._update)
            await self._look(way.host)
        if self._name.is_stale(self.clock()):
            self._fall_back(way)
        return self._name.next_look(self.clock())

    async def _look(self, here: str) -> None:
        known = self._name
        addresses = await self._resolve(known.hostname)
        self._name = known.resolved(here, addresses, self.clock())
        if self._name.leads_here and not (known.leads_here and known.here == here):
            text = f"{known.hostname} leads to {here}"
            self._intent.happened("hostname-verified", text, hostname=known.hostname, address=here)

    async def _have_updated(self, update: Update) -> None:
        name = self._name
        failure = await update(name.hostname, name.here)
        self._name = name.after_update(failure, self.clock())
        outcome = f"failed: {failure}" if failure else "done"
        text = f"the update of {name.hostname} to {name.here}: {outcome}"
        self._intent.happened("hostname-updated", text, hostname=name.hostname, address=name.here)

    def _fall_back(self, way: HostPort) -> None:
        """Guests who hold the name get the address."""
        session = self._intent.state.session
        if session and session.announced and session.announced.host == self._name.hostname:
            announce(self._intent, self._way_in_changed, way)
