"""The hostname lane: checks that the user's name leads to this network, and updates it if not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pairingd.core.hostname import Name
from pairingd.core.model import HostPort, Problem
from pairingd.reconcile.announce import announce
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.state.intent import Intent

Resolve = Callable[[str], Awaitable[frozenset[str]]]
Update = Callable[[str, str], Awaitable[str]]


class HostnameLane(Lane):
    """`name` is "" if there is none. `public_address` returns the endpoint at this network's public
    address, None while unknown. `update` points the name to an address and returns why it failed;
    None: the user does that.
    """

    longest_retry = 60.0

    def __init__(
        self,
        intent: Intent,
        name: str,
        public_address: Callable[[], HostPort | None],
        resolve: Resolve,
        update: Update | None,
        clock: Callable[[], float],
        signals: Signals,
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        self._endpoint_changed = signals.endpoint_changed
        self._name = Name(name)
        self._public_address = public_address
        self._resolve = resolve
        self._update = update

    @property
    def needed(self) -> bool:
        return bool(self._name.hostname) and self._public_address() is not None

    @property
    def name(self) -> Name | None:
        """The name, if it was looked up for this network's present address."""
        address = self._public_address()
        return (
            self._name
            if self._name.hostname and address and address.host == self._name.public_address
            else None
        )

    @property
    def problems(self) -> list[Problem]:
        problem = self.name.problem() if self.name else None
        return [problem] if problem else []

    async def one_pass(self) -> float | None:
        address = self._public_address()
        if not self._name.hostname or address is None:
            return None
        await self._look(address.host)
        if self._update and self._name.needs_update(self.clock()):
            await self._have_updated(self._update)
            await self._look(address.host)
        if self._name.is_stale(self.clock()):
            self._fall_back(address)
        return self._name.next_look(self.clock())

    async def _look(self, host: str) -> None:
        known = self._name
        addresses = await self._resolve(known.hostname)
        self._name = known.resolved(host, addresses, self.clock())
        if self._name.leads_here and not (known.leads_here and known.public_address == host):
            text = f"{known.hostname} leads to {host}"
            self._intent.happened("hostname-verified", text, hostname=known.hostname, address=host)

    async def _have_updated(self, update: Update) -> None:
        name = self._name
        failure = await update(name.hostname, name.public_address)
        self._name = name.after_update(failure, self.clock())
        outcome = f"failed: {failure}" if failure else "done"
        text = f"the update of {name.hostname} to {name.public_address}: {outcome}"
        self._intent.happened(
            "hostname-updated", text, hostname=name.hostname, address=name.public_address
        )

    def _fall_back(self, address: HostPort) -> None:
        """Announce the address to guests who have the name."""
        session = self._intent.state.session
        if session and session.announced and session.announced.host == self._name.hostname:
            announce(self._intent, self._endpoint_changed, address)
