"""The slow lane: the gateway's mapping to the door, wherever this machine happens to be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from pairingd.core import plan
from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.model import Mapping
from pairingd.errors import GatewayError, PairingError
from pairingd.intent import Intent
from pairingd.reconcile.lane import Lane
from pairingd.world.gateway.adapter import Network, Presence
from pairingd.world.network.changes import watch

log = logging.getLogger(__name__)


class Router(Protocol):
    """What this lane needs of a gateway; world.gateway.router.Router is the real one."""

    async def probe(self, network: Network) -> None: ...

    async def open(
        self, network: Network, *, internal_port: int, external_port: int
    ) -> Mapping: ...

    async def renew(self, mapping: Mapping) -> Mapping: ...

    async def check(self, mapping: Mapping) -> Presence: ...

    async def close(self, mapping: Mapping) -> None: ...


class Journaled(Protocol):
    def mappings(self) -> list[Mapping]: ...

    def erase(self, mapping_id: str) -> None: ...


class MappingLane(Lane):
    """Holds at most one mapping, and only while the door is open. `router` None: not wanted."""

    longest_retry = 60.0

    def __init__(
        self,
        intent: Intent,
        journal: Journaled,
        router: Router | None,
        locate: Callable[[], Awaitable[Network | None]],
        door_port: Callable[[], int | None],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(clock)
        self.network: Network | None = None
        self.proven: str | None = None  # the mapping through which somebody has come
        self._intent = intent
        self._journal = journal
        self._router = router
        self._locate = locate
        self._door_port = door_port
        self._checked: dict[str, float] = {}
        self._watching = ExitStack()
        self._watched = False

    @property
    def current(self) -> Mapping | None:
        """The mapping to the open door that is in place, as far as was seen."""
        here = self.network.identity if self.network else None
        for entry in self._journal.mappings():
            if (
                entry.network == here
                and entry.internal_port == self._door_port()
                and (entry.granted_until or 0.0) > self.clock()
            ):
                return entry
        return None

    def guest_came_from(self, peer: str) -> None:
        """A login from the internet is the only proof that the way in works."""
        held = self.current
        if held and external_class(peer) is ExternalClass.PUBLIC:
            self.proven = held.id

    @property
    def wanted(self) -> bool:
        return self._router is not None and self._door_port() is not None

    async def warm_up(self) -> None:
        """Look for the gateway while the guests' keys are fetched; failures are told later."""
        if self._router is None:
            return
        try:
            self._moved_to(await self._locate())
            if self.network and self.network.gateway:
                await self._router.probe(self.network)
        except PairingError as error:
            log.debug("no gateway yet: %s", error)

    async def one_pass(self) -> float | None:
        self._watch_network()
        if self._router is None or not (self.wanted or self._journal.mappings()):
            return None
        self._moved_to(await self._locate())
        here = self.network.identity if self.network and self.network.gateway else None
        wish = self._wish(here)
        for action in plan.mapping(
            wish, self._journal.mappings(), here, self._checked, self.clock()
        ):
            await self._apply(self._router, action)
        if wish is None and self.wanted:
            raise GatewayError(
                "no-gateway",
                "this network has no home router to ask",
                "a guest on the same network can still enter; pairctl doctor tells more",
            )
        return plan.mapping_deadline(self._journal.mappings(), here, self._checked)

    def _moved_to(self, network: Network | None) -> None:
        """A gateway that kept silent about its MAC for once is no other gateway."""
        if network and self.network and not network.gateway_mac:
            named = replace(network, gateway_mac=self.network.gateway_mac)
            network = named if named == self.network else network
        self.network = network

    def _watch_network(self) -> None:
        """Only while a mapping is wanted: an idle daemon is not woken by its network."""
        if not self.wanted:
            self._watching.close()
        elif not self._watched:
            self._watching.enter_context(watch(self.poke))
            self._watching.callback(setattr, self, "_watched", False)
            self._watched = True

    def _wish(self, here: str | None) -> plan.MappingWish | None:
        port, session = self._door_port(), self._intent.state.session
        if here is None or self.network is None or port is None or session is None:
            return None
        return plan.MappingWish(here, self.network.address, port, session.external_port)

    async def _apply(self, router: Router, action: plan.MappingAction) -> None:
        match action:
            case plan.CloseMapping(entry):
                await router.close(entry)
                self._checked.pop(entry.id, None)
                self._intent.happened(
                    "mapping-closed", f"the router's port {entry.external_port} is closed"
                )
            case plan.OpenMapping(wish):
                assert self.network is not None  # noqa: S101 - a wish names the network
                opened = await router.open(
                    self.network,
                    internal_port=wish.internal_port,
                    external_port=wish.external_port,
                )
                self._seen(opened)
                self._intent.happened(
                    "mapping-opened",
                    f"the router forwards port {opened.external_port} to the door",
                    external_host=opened.external_host,
                    external_port=opened.external_port,
                    protocol=opened.protocol,
                )
            case plan.RenewMapping(entry):
                await self._renew(router, entry)
            case plan.CheckMapping(entry):
                await self._check(router, entry)

    async def _renew(self, router: Router, entry: Mapping) -> None:
        try:
            self._seen(await router.renew(entry))
        except GatewayError as error:
            if error.code in {"router-silent", "local-network-denied"}:
                raise
            # It answers but will not renew: some routers need the old one gone first.
            await router.close(entry)
            self._lost(entry, f"the router did not renew the mapping ({error.code}); asking again")

    async def _check(self, router: Router, entry: Mapping) -> None:
        match await router.check(entry):
            case Presence.PRESENT:
                self._seen(entry)
            case Presence.ABSENT:
                self._lost(entry, "the router has lost the mapping; asking again")
            case Presence.FOREIGN:
                self._lost(entry, "somebody else has taken the router's port; asking again")
            case Presence.UNKNOWN:
                raise GatewayError(
                    "router-silent",
                    f"the router at {entry.gateway} does not answer",
                    "guests may not get in until it does; is it restarting?",
                )

    def _lost(self, entry: Mapping, text: str) -> None:
        self._journal.erase(entry.id)
        self._checked.pop(entry.id, None)
        self._intent.happened("mapping-lost", text, external_port=entry.external_port)
        self.poke()

    def _seen(self, entry: Mapping) -> None:
        self._checked[entry.id] = self.clock()

    async def finish(self, limit: float) -> None:
        """A last pass, at most `limit` seconds; what is left goes with its lease or a restart."""
        try:
            async with asyncio.timeout(limit):
                await self.settle()
        except TimeoutError:
            log.warning("the router did not answer in time; its lease will run out")
