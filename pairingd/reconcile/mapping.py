"""The slow lane: the gateway's mapping to the door, wherever this machine happens to be."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

from pairingd.clock import awake_or_asleep
from pairingd.core import plan
from pairingd.core.model import Mapping, WayIn
from pairingd.core.network import Network
from pairingd.core.rules import WayAnnounced, WayTold
from pairingd.core.ways import Verified, ssh_command
from pairingd.errors import GatewayError, PairingError
from pairingd.intent import Intent
from pairingd.reconcile.evidence import Evidence
from pairingd.reconcile.hints import Hints
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.user import user_name
from pairingd.world.gateway.adapter import Presence
from pairingd.world.gateway.announcements import listen
from pairingd.world.gateway.refusals import NO_ANSWER, most_telling, silent
from pairingd.world.keyscan import Sight

log = logging.getLogger(__name__)

_ANNOUNCING = frozenset({"pcp", "natpmp"})
_A_SLEEP = 20.0  # seconds asleep after which nothing seen before is taken to hold still


def asleep() -> float:
    """Seconds that this machine has slept since it started; only differences mean anything."""
    return awake_or_asleep() - time.monotonic()


class Router(Protocol):
    """What this lane needs of a gateway; world.gateway.router.Router is the real one."""

    async def probe(self, network: Network) -> None: ...

    async def open(
        self,
        network: Network,
        *,
        internal_port: int,
        external_port: int,
        but: Collection[str] = (),
    ) -> Mapping: ...

    async def renew(self, mapping: Mapping) -> Mapping: ...

    async def check(self, mapping: Mapping) -> Presence: ...

    async def close(self, mapping: Mapping) -> None: ...

    async def sweep(self, network: Network, keep: Collection[int]) -> int: ...


class Journaled(Protocol):
    def mappings(self) -> list[Mapping]: ...

    def record(self, mapping: Mapping) -> None: ...

    def erase(self, mapping_id: str) -> None: ...


class MappingLane(Lane):
    """Holds at most one mapping, and only while the door is open.

    Not `enabled`: none is wanted, and what an earlier daemon has left is closed. `look` says what
    is seen at a host and port outside; None: that is not to be tried.
    """

    longest_retry = 60.0
    opened_text = "the router forwards port {port} to the door"

    def __init__(
        self,
        intent: Intent,
        journal: Journaled,
        router: Router,
        locate: Callable[[], Awaitable[Network | None]],
        door_port: Callable[[], int | None],
        clock: Callable[[], float],
        signals: Signals,
        *,
        enabled: bool = True,
        look: Callable[[str, int], Awaitable[Sight]] | None = None,
        asleep: Callable[[], float] = asleep,
        listen: Callable[..., AbstractContextManager[None]] = listen,
    ) -> None:
        super().__init__(clock, signals)
        signals.door_changed.connect(self.poke)
        signals.guest_came.connect(self._guest_came)
        signals.gateway_restarted.connect(self._doubt)
        self.enabled = enabled
        self.network: Network | None = None
        self._evidence = Evidence(look, self.poke)
        self._intent = intent
        self._journal = journal
        self._router = router
        self._locate = locate
        self._door_port = door_port
        self._checked: dict[str, plan.Seen] = {}
        self._asleep = asleep
        self._slept = asleep()
        self._swept: set[str] = set()  # identities of networks
        self._missed: set[str] = set()  # ids of mappings that are being asked for again
        self._asking: asyncio.Task[None] | None = None
        self._hints = Hints(self.poke, signals.gateway_restarted, listen=listen)

    @property
    def current(self) -> Mapping | None:
        """The mapping to the open door that is in place, as far as was seen."""
        here = self.network.identity if self.network else None
        for entry in self._journal.mappings():
            if (
                entry.network == here
                and entry.internal_port == self._door_port()
                and plan.is_held(entry, self.clock())
            ):
                return entry
        return None

    @property
    def seen(self) -> dict[str, Verified]:
        """What was seen of the current mapping, by its id; of its present host and port alone."""
        held = self.current
        if held is None:
            return {}
        if seen := self._evidence.of(held):
            return {held.id: seen}
        looked = self._checked.get(held.id)
        # PCP and NAT-PMP cannot read a mapping back.
        if held.protocol == "upnp" and not held.unshown and looked and looked.answered:
            return {held.id: "readback"}
        return {}

    def _guest_came(self, peer: str) -> None:
        if held := self.current:
            self._evidence.guest_came_from(peer, held)

    @property
    def wanted(self) -> bool:
        return self.enabled and self._door_port() is not None

    async def look_around(self) -> Network | None:
        """The network that this machine is in now.

        Raises GatewayError `no-gateway`, and `router-silent` where it cannot be told.
        """
        network = await self._locate()
        if network and network.gateway:
            self._recognise(network)
        self.network = network
        return network

    async def warm_up(self) -> None:
        """Look for the gateway while the guests' keys are fetched; failures are told later."""
        if not self.enabled:
            return
        try:
            network = await self.look_around()
            if network and network.gateway:
                await self._router.probe(network)
        except PairingError as error:
            log.debug("no gateway yet: %s", error)

    async def one_pass(self) -> float | None:
        needed = self.wanted or bool(self._journal.mappings())
        self._hints.heed(network=needed, gateway=self._announcing())
        if not needed:
            return None
        self._note_sleep()
        network = await self.look_around()
        here = network.identity if network and network.gateway else None
        await self._close_the_mute(here)
        wish = self._wish(here)
        unclosed: GatewayError | None = None
        quiet: dict[str, GatewayError] = {}  # by protocol
        for action in plan.mapping(
            wish, self._journal.mappings(), here, self._checked, self.clock()
        ):
            try:
                if isinstance(action, plan.CloseMapping):
                    await self._close(action.mapping)
                else:
                    await self._while_wanted(self._apply(action, quiet))
            except GatewayError as error:
                # What cannot be closed leads to a shut port, and keeps no guest out. But who does
                # not answer is not asked for more, which would only be journaled again and again.
                if not isinstance(action, plan.CloseMapping):
                    raise most_telling([error, *quiet.values()]) from None
                if error.code in NO_ANSWER:
                    quiet[action.mapping.protocol] = error
                if not plan.is_over(action.mapping, self.clock()):
                    unclosed = error
        self._announce()
        if unclosed:
            raise unclosed
        if here is None and self.wanted:
            self._nobody_to_ask()
        return plan.mapping_deadline(self._journal.mappings(), here, self._checked, self.clock())

    def _nobody_to_ask(self) -> None:
        raise GatewayError(
            "no-gateway",
            "this network has no home router to ask",
            "a guest on the same network can still connect; run: pairctl doctor",
        )

    def _note_sleep(self) -> None:
        """After a sleep every mapping is had anew, which shows best whether it is there."""
        before, self._slept = self._slept, self._asleep()
        if self._slept - before > _A_SLEEP:
            self._checked.clear()

    def _recognise(self, network: Network) -> None:
        """Tell by the gateway's MAC whether a journaled mapping was made here.

        What was made before a gateway had shown one is of the first with the same numbers that
        does. Raises GatewayError `router-silent` where the gateway of a mapping has shown one and
        this does not: it may be another router, which must not be sent that mapping's delete.
        """
        unnamed = replace(network, gateway_mac="").identity
        for entry in self._journal.mappings():
            if entry.network == network.identity or not entry.network.startswith(unnamed):
                continue
            if entry.network == unnamed:
                self._journal.record(replace(entry, network=network.identity))
            elif not network.gateway_mac:
                if self.network and replace(self.network, gateway_mac="") != network:
                    self.network = None
                raise silent(network.gateway)

    def _announce(self) -> None:
        """Guests hold a command that no longer works once the way in has another name."""
        held = self.current
        if held is None or not held.external_host or not self.wanted:
            return
        way, session = WayIn(held.external_host, held.external_port), self._intent.state.session
        if session is None or session.announced == way:
            return
        if session.announced is None:  # the first one, which the answer to `invite` tells
            self._intent.apply(WayTold(way))
            return
        command = ssh_command(user_name(), way.host, way.port)
        self._intent.apply(WayAnnounced(way))
        self._intent.happened(
            "endpoint-changed",
            f"guests now connect with: {command}",
            command=command,
            external_host=way.host,
            external_port=way.port,
        )
        self._signals.way_in_changed(f"the endpoint has changed: {command}")

    def _announcing(self) -> tuple[str, str] | None:
        """The gateway and our address there, where the mapping's protocol has announcements."""
        held = self.current
        if held is None or held.protocol not in _ANNOUNCING:
            return None
        return held.gateway, held.internal_host

    def _doubt(self) -> None:
        """Look now at what is held, and not only when it is time."""
        self._checked = {known: seen.doubted for known, seen in self._checked.items()}
        self.poke()

    def _wish(self, here: str | None) -> plan.MappingWish | None:
        """None once the time is up, though the door may stand still: after a sleep, say."""
        port, session = self._door_port(), self._intent.state.session
        if not self.enabled or here is None or self.network is None:
            return None
        if port is None or session is None:
            return None
        if not plan.desired(self._intent.state, self.clock()).door:
            return None
        return plan.MappingWish(here, self.network.address, port, session.external_port)

    def poke(self) -> None:
        """Once the door is shut, nothing is waited for that was asked for its sake."""
        super().poke()
        if self._asking and not self.wanted:
            self._asking.cancel()

    async def _while_wanted(self, asking: Coroutine[Any, Any, None]) -> None:
        """What is cut short may have been done: the journal has it, and the next pass undoes it."""
        self._asking = asyncio.create_task(asking)
        try:
            await asyncio.wait({self._asking})
            if not self._asking.cancelled():
                self._asking.result()
        finally:
            self._asking.cancel()
            self._asking = None

    async def _close(self, entry: Mapping) -> None:
        self._checked.pop(entry.id, None)  # no time of its own is waited for any more
        await self._router.close(entry)
        self._intent.happened(
            "mapping-closed", f"the router's port {entry.external_port} is closed"
        )

    async def _apply(
        self,
        action: plan.OpenMapping | plan.RenewMapping | plan.CheckMapping,
        unasked: Collection[str],
    ) -> None:
        match action:
            case plan.OpenMapping(wish):
                assert self.network is not None  # noqa: S101 - a wish names the network
                opened = await self._router.open(
                    self.network,
                    internal_port=wish.internal_port,
                    external_port=wish.external_port,
                    but=unasked,
                )
                self._seen(opened)
                self._evidence.seek(opened)
                self._intent.happened(
                    "mapping-opened",
                    self.opened_text.format(port=opened.external_port),
                    external_host=opened.external_host,
                    external_port=opened.external_port,
                    protocol=opened.protocol,
                )
            case plan.RenewMapping(entry) | plan.CheckMapping(entry):
                look = self._check if isinstance(action, plan.CheckMapping) else self._renew
                try:
                    await look(entry)
                except GatewayError:
                    if known := self._checked.get(entry.id):
                        self._checked[entry.id] = replace(known, answered=False)
                    raise

    async def _close_the_mute(self, here: str | None) -> None:
        """So that they are made anew. Raises GatewayError."""
        for entry in self._journal.mappings():
            if entry.network == here and self._evidence.is_mute(entry):
                try:
                    await self._router.close(entry)
                except GatewayError as error:
                    if error.code not in NO_ANSWER:
                        self._evidence.made_anew(entry)  # it cannot be, and may yet forward again
                    raise
                self._evidence.made_anew(entry)
                self._lost(entry, "the router has the mapping but forwards nothing; asking again")

    async def _sweep(self) -> None:
        """Once in each network, when the guests have their command and the router is at leisure."""
        if self.network is None or self.network.identity in self._swept:
            return
        self._swept.add(self.network.identity)
        keep = [entry.external_port for entry in self._journal.mappings()]
        try:
            if count := await self._router.sweep(self.network, keep):
                self._intent.happened(
                    "recovered",
                    f"removed {count} of the router's mappings that an earlier pairingd left",
                )
        except GatewayError as error:
            log.debug("no sweep: %s", error)

    async def _renew(self, entry: Mapping) -> None:
        known = entry.id in self._checked
        try:
            renewed = await self._router.renew(entry)
        except GatewayError as error:
            if error.code in NO_ANSWER:
                raise
            if error.code == "no-gateway":
                self._give_up(entry)
                return
            # It answers but will not renew: some routers need the old one gone first.
            await self._router.close(entry)
            self._lost(entry, f"the router did not renew the mapping ({error.code}); asking again")
        else:
            self._seen(renewed)
            moved = renewed.external_host != entry.external_host
            if moved or not known or self._evidence.turns_us_around(entry.network):
                self._evidence.seek(renewed)

    async def _check(self, entry: Mapping) -> None:
        match await self._router.check(entry):
            case Presence.PRESENT:
                self._seen(entry)
                await self._sweep()
            case Presence.ABSENT:
                # The same mapping again and not a new one: after a false alarm it is still there,
                # and a PCP server gives it to nobody who comes with another nonce.
                if entry.id not in self._missed:
                    self._missed.add(entry.id)
                    self._note_lost(entry, "the router has lost the mapping; asking again")
                await self._renew(entry)
            case Presence.FOREIGN:
                self._lost(entry, "somebody else has taken the router's port; asking again")
            case Presence.UNKNOWN:
                raise silent(entry.gateway)

    def _give_up(self, entry: Mapping) -> None:
        """Another protocol may be spoken by now; until its lease is over this one may be again."""
        self._journal.record(replace(entry, renew_at=None))
        self._checked.pop(entry.id, None)
        self._note_lost(entry, f"no router answers to {entry.protocol} any more; asking again")
        self.poke()

    def _lost(self, entry: Mapping, text: str) -> None:
        self._journal.erase(entry.id)
        self._checked.pop(entry.id, None)
        self._note_lost(entry, text)
        self.poke()

    def _note_lost(self, entry: Mapping, text: str) -> None:
        self._intent.happened("mapping-lost", text, external_port=entry.external_port)

    def _seen(self, entry: Mapping) -> None:
        now = self.clock()
        self._missed.discard(entry.id)
        known = self._checked.get(entry.id)
        self._checked[entry.id] = plan.Seen(known.since if known else now, now)
