"""The mapping lane: the gateway's mapping to the door, on whatever network this machine is.

This does the I/O. `core.holding` decides the actions and what the answers mean.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from pairingd import gateways
from pairingd.core import holding, plan
from pairingd.core.events import CommandPrinted
from pairingd.core.holding_events import (
    Action,
    Again,
    Announced,
    Check,
    Clear,
    Close,
    Closed,
    CloseSecond,
    Distrust,
    Effect,
    End,
    Erase,
    Event,
    Fail,
    Granted,
    GuestCame,
    Journaled,
    Judge,
    Looked,
    LookFromOutside,
    Moved,
    NobodyToAsk,
    Note,
    Open,
    Presence,
    Record,
    Reflected,
    Refused,
    Renew,
    Request,
    Serve,
    Settled,
    Silent,
    StrangerCame,
    Sweep,
    Swept,
    Tell,
    Woke,
)
from pairingd.core.holding_state import MAPPING, Holding, Policy, endpoint
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.core.ways import Verified
from pairingd.errors import GatewayError, PairingError
from pairingd.machine.clock import awake_or_asleep
from pairingd.reconcile.announce import announce
from pairingd.reconcile.interruptible import Interruptible
from pairingd.reconcile.lane import Lane
from pairingd.reconcile.mapping.behind import Behind
from pairingd.reconcile.mapping.hairpin import Hairpin, Look
from pairingd.reconcile.mapping.hints import Hints
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.gateway.pinholes import Pinholes
from pairingd.world.gateway.pxp.announcements import listen
from pairingd.world.gateway.refusals import NO_ANSWER, door_elsewhere, most_telling, silent
from pairingd.world.gateway.router import Router

log = logging.getLogger(__name__)

_SECOND_TIMEOUT_S = 4.0


def asleep() -> float:
    """Seconds that this machine has slept since it started; only differences mean anything."""
    return awake_or_asleep() - time.monotonic()


class MappingLane(Lane):
    """Holds at most one mapping, and only while the door is open.

    If not `enabled`, it only closes what an earlier daemon has left. `look` returns what answers at
    a host and port outside; None: never look. `second` is the lane of the router in front of this
    one's. `door_address` is the only one of ours that a router can lead to; "": any. `hole_port`
    returns the port to request behind the provider's NAT for a hole in it; None: make no hole.
    `hostname` is the user's name for this network. `occupied` returns whether a guest is in.
    """

    def __init__(
        self,
        intent: Intent,
        store: Store,
        router: Router | Pinholes,
        locate: Callable[[], Awaitable[Network | None]],
        door_port: Callable[[], int | None],
        clock: Callable[[], float],
        signals: Signals,
        *,
        policy: Policy = MAPPING,
        enabled: bool = True,
        look: Look | None = None,
        hole_port: Callable[[Network], int] | None = None,
        hostname: str = "",
        door_address: str = "",
        occupied: Callable[[], bool] = lambda: False,
        asleep: Callable[[], float] = asleep,
        listen: Callable[..., AbstractContextManager[None]] = listen,
        second: Lane | None = None,
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        signals.guest_came.connect(lambda peer: self._notice(GuestCame(peer, door_port())))
        signals.stranger_came.connect(lambda peer: self._notice(StrangerCame(peer, door_port())))
        signals.gateway_restarted.connect(lambda: self._notice(Announced()))
        self.enabled = enabled
        self.longest_retry = policy.longest_retry_s
        self._endpoint_changed = signals.endpoint_changed
        self._store, self._router = store, router
        self._locate, self._door_port = locate, door_port
        self._hostname, self._second = hostname, second
        self._door_address = door_address
        self._behind = Behind(hole_port)
        self._occupied = occupied
        self._holding = Holding(policy, tuple(store.mappings()), read_back=gateways.READ_BACK)
        self._hairpin = Hairpin(look, lambda held, seen: self._notice(Reflected(held, seen)))
        self._hints = Hints(self.poke, signals.gateway_restarted, listen=listen)
        self._asleep, self._slept = asleep, asleep()
        self._asking = Interruptible()

    @property
    def network(self) -> Network | None:
        """Where this machine is, as last seen."""
        return self._holding.network

    @property
    def current(self) -> Mapping | None:
        """The mapping to the open door that is in place, as last seen."""
        return self._holding.current(self._door_port(), self.clock())

    @property
    def seen(self) -> dict[str, Verified]:
        """The evidence for the current mapping, by its id; for its present host and port only."""
        held = self.current
        seen = self._holding.seen(held) if held else None
        if held is None or seen is None:
            return {}
        if seen != "answered":
            return {held.id: seen}
        shown = gateways.named(held.protocol).reads_back and not held.unshown
        return {held.id: "readback"} if shown else {}

    @property
    def unsteady(self) -> bool:
        """Whether the current mapping keeps being lost."""
        held = self.current
        return held is not None and self._holding.is_unsteady(held)

    @property
    def opening(self) -> bool:
        """Whether the first mapping to serve the door is still pending. One that is about to be
        replaced, as for a hole, does not count.
        """
        serving = self._holding.serving(self.clock())
        is_pending = serving is None or self._behind.is_new(serving)
        return self.needed and is_pending and self.error is None

    @property
    def needed(self) -> bool:
        return self.enabled and self._door_port() is not None

    async def look_around(self) -> Network | None:
        """The network that this machine is in now. Raises GatewayError `no-gateway`, and
        `router-silent` if it is unknown.
        """
        network = await self._locate()
        self._read_journal()
        await self._follow(Moved(network))
        return network

    async def warm_up(self) -> None:
        """Look for the gateway while the guests' keys are fetched; failures are reported later."""
        if not self.enabled:
            return
        try:
            network = await self.look_around()
            if network and network.gateway:
                await self._router.probe(network)
        except PairingError as error:
            log.debug("no gateway yet: %s", error)

    async def one_pass(self) -> float | None:
        self._read_journal()
        needed = self.needed or bool(self._holding.own)
        primary = self._holding.policy.primary  # the lane that listens to announcements for all
        self._hints.follow(network=needed, held=self.current if primary else None)
        if not needed:
            return None
        before, self._slept = self._slept, self._asleep()
        await self._follow(Woke(self._slept - before))
        await self.look_around()
        await self._serve()
        while self._behind.finds(self.current):
            await self._serve()
        session, door = self._intent.state.session, self._door_port() if self.enabled else None
        await self._follow(Settled(door, session.announced if session else None, self._hostname))
        if door and (problem := door_elsewhere(self.network, self._door_address)):
            raise problem
        return holding.next_deadline(self._holding, self.clock())

    def poke(self) -> None:
        """Also cancel the pending requests if the door is closed."""
        super().poke()
        if not self.needed:
            self._asking.stop()

    def outcome(self) -> object:
        held = self.current
        return endpoint(held) if held else None, str(self.error)

    def _report_trouble(self, error: PairingError) -> None:
        if self._holding.policy.primary:
            super()._report_trouble(error)

    async def _serve(self) -> None:
        ports, session = self._wished_ports(), self._intent.state.session
        wish = self._behind.wish(self.network, ports, session)
        await self._follow(replace(wish, occupied=self._occupied()))
        await self._follow(Clear())
        try:
            await self._asking.run(self._follow(Serve()))
        finally:
            self._read_journal()  # has what was interrupted; the next round undoes it

    def _wished_ports(self) -> tuple[int, int] | None:
        """None once the time is up, even if the door is still open, as after a sleep; and where the
        door does not listen.
        """
        port, state = self._door_port(), self._intent.state
        if not self.enabled or port is None or state.session is None:
            return None
        served = plan.admits(state, self.clock()) and not door_elsewhere(
            self.network, self._door_address
        )
        return (port, state.session.external_port) if served else None

    def _read_journal(self) -> None:
        self._step(Journaled(tuple(self._store.mappings())))

    def _step(self, event: Event) -> tuple[Action, ...]:
        self._holding, actions = holding.step(self._holding, event, self.clock())
        return actions

    def _notice(self, event: GuestCame | StrangerCame | Reflected | Announced) -> None:
        for action in self._step(event):
            if not isinstance(action, Request | CloseSecond):
                self._perform(action)

    async def _follow(self, event: Event) -> None:
        """Perform the actions of `event`, and those of each answer before the next action. Raises
        GatewayError if the round ends with one.
        """
        for action in self._step(event):
            match action:
                case Close() | Open() | Renew() | Check() | Sweep():
                    answer = await self._answer_to(action)
                    self._read_journal()
                    await self._follow(answer)
                case CloseSecond():
                    if self._second:
                        await self._second.finish(_SECOND_TIMEOUT_S)
                case _:
                    self._perform(action)

    def _perform(self, action: Effect) -> None:
        match action:
            case Record(entry):
                self._store.record(entry)
                self._read_journal()
            case Erase(entry):
                self._store.erase(entry.id)
                self._read_journal()
            case Judge(network, honours):
                self._store.judge(network, honours=honours)
            case LookFromOutside(entry):
                self._hairpin.seek(entry)
            case Note(kind, text, data):
                self._intent.happened(kind, text, **data)
            case Tell(address, first=True):
                self._intent.apply(CommandPrinted(address))
            case Tell(address):
                announce(self._intent, self._endpoint_changed, address)
            case Again():
                self.poke()
            case Fail() | Distrust() | NobodyToAsk():
                raise _reason(action)

    async def _answer_to(self, request: Request) -> Event:
        try:
            return await self._request(request)
        except GatewayError as problem:
            log.debug("%s: %s", type(request).__name__, problem)
            return (Silent if problem.code in NO_ANSWER else Refused)(request, problem)

    async def _request(self, request: Request) -> Event:
        """Raises GatewayError."""
        match request:
            case Close(entry):
                await self._router.close(entry)
                return Closed(request)
            case Open(wish, without):
                opened = await self._router.open(
                    wish.network,
                    internal_port=wish.internal_port,
                    external_port=wish.external_port,
                    chosen=wish.chosen,
                    but=without,
                )
                return Granted(request, opened)
            case Renew(entry, exact):
                return Granted(request, await self._router.renew(entry, exact=exact))
            case Check(entry, quick):
                presence = await self._router.check(entry, quick=quick)
                if presence is Presence.UNKNOWN:
                    raise silent(entry.gateway)
                return Looked(entry, presence)
            case Sweep(network, keep):
                return Swept(await self._router.sweep(network, keep))


def _reason(end: End) -> GatewayError:
    match end:
        case Fail(problems):
            return most_telling(
                [problem for problem in problems if isinstance(problem, GatewayError)]
            )
        case Distrust(gateway):
            return silent(gateway)
        case NobodyToAsk():
            return GatewayError(
                "no-gateway",
                "this network has no home router to ask",
                "run: pairctl doctor; guests on the same network can still connect",
            )
