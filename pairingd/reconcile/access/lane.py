"""The quick lane: keys, connections, the door, and what tmux shows of the guests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from pairingd.core import causes, plan
from pairingd.core.events import End, Tick
from pairingd.core.model import Access, Cause
from pairingd.errors import PairingError, WorldError
from pairingd.reconcile.access.approvals import Approvals
from pairingd.reconcile.access.confinement import Confinement
from pairingd.reconcile.access.courtesy import Courtesy
from pairingd.reconcile.access.entrance import Entrance
from pairingd.reconcile.access.guests import Guests
from pairingd.reconcile.access.idleness import Idleness
from pairingd.reconcile.access.knocks import Knocks
from pairingd.reconcile.access.login import Login
from pairingd.reconcile.access.messages import Messages
from pairingd.reconcile.access.roles import change_roles
from pairingd.reconcile.access.roster import Roster
from pairingd.reconcile.access.statusline import StatusLine
from pairingd.reconcile.access.wishes import Wishes
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.awake import Awake
from pairingd.world.door import (
    Authenticated,
    Disconnected,
    Door,
    Event,
    Reached,
    TurnedAway,
    Unjournaled,
)
from pairingd.world.tmux import Running, Tmux

log = logging.getLogger(__name__)

ROLE_TIMEOUT_S = 1.0  # for a guest's forced command to take another role
REST_TIMEOUT_S = 4.0  # at the end, for messages and notes that wait for tmux


class AccessLane(Lane):
    """The only reader of the door's events. `awake` is None if the machine may go to sleep."""

    def __init__(
        self,
        intent: Intent,
        store: Store,
        tmux: Tmux,
        door: Door,
        entrance: Entrance,
        clock: Callable[[], float],
        signals: Signals,
        *,
        awake: Awake | None = None,
    ) -> None:
        super().__init__(intent, clock)
        self._wishes = Wishes(intent, clock)
        self._aside = aside = Aside()
        self.roster = roster = Roster(intent, store, tmux, door, signals, aside)
        self._confinement = Confinement(tmux, self.poke, self._tmux_silent, roster.typed)
        self._line = StatusLine(tmux, self._confinement, self.poke)
        self._messages = Messages(tmux, self._confinement, self._line, roster.logins, clock, aside)
        self._courtesy = Courtesy(tmux, self._messages, intent, entrance, clock, self._wishes)
        self._idleness = Idleness(intent, tmux, roster.logins, clock, aside)
        self.approvals = Approvals(
            intent, roster, tmux, self._confinement, self._messages, signals, clock, self.poke
        )
        self._guests = Guests(
            *(roster.logins, door.connections, self._confinement, self._courtesy),
            *(clock, roster.note_joined, self.approvals.dismiss),
        )
        signals.wishes_changed.connect(self._intent_changed)
        for signal in (signals.endpoint_changed, signals.guests_changed, signals.knocked):
            signal.connect(self._messages.to_host)
        signals.terms_changed.connect(self._messages.to_host)
        self._door, self._entrance, self._tmux, self._awake = door, entrance, tmux, awake
        self._granted: Mapping[str, Access] = {}  # rights, by the last pass
        self._revoked = asyncio.Event()  # set if granted rights were revoked in this pass

    @property
    def logins(self) -> Collection[Login]:
        """The present connections."""
        return self.roster.logins.values()

    @property
    def needed(self) -> bool:
        return self._wishes.now().door

    @property
    def knocks(self) -> Knocks:
        """The logins refused in this session."""
        return self.roster.knocks

    def stop(self) -> None:
        """Have the next pass let nobody in, and cut everyone."""
        self._wishes.stopping = True
        self._revoked.set()

    async def run(self) -> None:
        """Read the events even while a pass waits."""
        reading = asyncio.create_task(self._read_events())
        try:
            await super().run()
        finally:
            reading.cancel()

    async def one_pass(self) -> float | None:
        """Close what must close first: the disk may be full or slow, sshd gone, tmux stopped."""
        self._revoked.clear()
        self._take_events()
        failure = await self._close()
        self._take_events()  # of connections that were cut or came meanwhile
        self._intent.apply(Tick())
        self._guests.guard(self._intent.state)
        self.roster.note_departures()
        self.knocks.settle()
        self._idleness.look()
        if failure:
            raise failure
        await self.has_closed()
        steering = asyncio.ensure_future(self._keep_awake_and_steer())
        revoked = asyncio.ensure_future(self._revoked.wait())
        try:
            first, timeout = asyncio.FIRST_COMPLETED, self._until_deadline()
            await asyncio.wait({steering, revoked}, timeout=timeout, return_when=first)
        finally:
            revoked.cancel()
            if not steering.done():
                steering.cancel()
                await asyncio.wait({steering})
        if steering.cancelled():
            self.give_way()  # to a deadline, or to a revocation
        else:
            steering.result()
        if self._intent.unwritable:
            raise self._intent.unwritable
        return self.urgent()

    def urgent(self) -> float | None:
        """When the next guest must be out. No failure may delay that."""
        if self._wishes.stopping:
            return None
        times = (self._guests.next_cut(), plan.next_deadline(self._intent.state, self.clock()))
        return min((time for time in times if time is not None), default=None)

    async def rest(self) -> None:
        """Wait for the work in the background; cancel what is left after REST_TIMEOUT_S."""
        await self._aside.rest(REST_TIMEOUT_S)
        self.knocks.write()

    async def _read_events(self) -> None:
        while True:
            self._take(await self._door.events.get())

    def _take_events(self) -> None:
        """Take all that are queued."""
        while not self._door.events.empty():
            self._take(self._door.events.get_nowait())

    def _take(self, event: Event) -> None:
        """Take one event. If that fails, cut its connection."""
        if isinstance(event, Unjournaled):
            self._report_trouble(event.error)
            return
        try:
            self.roster.take(event)
        except Exception:
            log.exception("not accounted for: %s", event)
            if not isinstance(event, Reached | TurnedAway):
                self._aside.run(self._guests.cut([event.pid]))
        # While the door is open, a pass would change nothing for other events.
        if isinstance(event, Authenticated | Disconnected) or self._door.port is None:
            self.poke()

    def _intent_changed(self) -> None:
        access = self._wishes.now().access
        if self._granted.items() - access.items() or any(
            login.invitation and login.access not in {None, access.get(login.invitation)}
            for login in self.logins
        ):
            self._revoked.set()
        self.poke()

    def _until_deadline(self) -> float | None:
        deadline = self.urgent()
        return None if deadline is None else max(deadline - self.clock(), 0.01)

    def _actions(self, desired: plan.Desired) -> list[plan.AccessAction]:
        grants = self._entrance.grants(desired.grants)
        connections = self.roster.observed(self.clock())
        return plan.access(desired, plan.Observed(grants, self._door.port, connections))

    # Closing

    async def _close(self) -> PairingError | None:
        """Try each closing even if others fail; return the last failure."""
        actions = self._actions(desired := self._wishes.now())
        self._granted = desired.access
        with self._intent.together():  # nobody stays while a line of history waits for the disk
            if plan.CloseDoor() in actions:
                self._entrance.close()
            failure = await self._cut(act.pid for act in actions if isinstance(act, plan.Cut))
        for action in actions:
            if isinstance(action, plan.WriteGrants):
                try:
                    self._entrance.write(action.grants)
                except WorldError as error:
                    # If a key cannot be removed, the door must be closed.
                    self._entrance.close()
                    failure = error
        self._entrance.publish(self._intent.state.live)
        await self._change_roles([act for act in actions if isinstance(act, plan.ChangeRole)])
        return failure

    async def _cut(self, pids: Iterable[int]) -> PairingError | None:
        cause = Cause.DAEMON_STOPPED if self._wishes.stopping else None
        try:
            await self._guests.cut(pids, causes.WORDS[cause] if cause else "", cause)
        except Exception:  # a defect; the keys must be removed even so
            log.exception(problem := "a connection could not be cut")
            return WorldError("not-cut", problem, "pairctl stop ends them all")
        return None

    async def _change_roles(self, changes: list[plan.ChangeRole]) -> None:
        """Cut guests whose role does not change in time."""
        limit = min(ROLE_TIMEOUT_S, self._until_deadline() or ROLE_TIMEOUT_S)
        signal = self._door.connections.signal
        late = await change_roles(changes, self.roster.logins, signal, limit, self._revoked.is_set)
        if waits := late and (limit < ROLE_TIMEOUT_S or self._revoked.is_set()):
            self.poke()  # another guest's rights must be revoked first
        lost = [pid for pid in late if not waits or self.roster.logins[pid].astray]
        await self._guests.cut(lost, "their role could not be changed")

    # Steering, and opening

    async def _keep_awake_and_steer(self) -> None:
        if self._awake:
            inside = any(login.invitation for login in self.logins)
            await (self._awake.start() if inside else self._awake.stop())
        if self.needed:
            await self._entrance.prepare()
            if await self._session_running():
                await self._confinement.watch()
                if await self._guests.hold(self._wishes.now().access):
                    self.poke()
                self.passing()  # the home may have gone meanwhile
                await self._open()
                await self._courtesy.notify(self.logins)
                await self._line.show(self._intent.state, self.logins, self.clock())
        else:
            self._confinement.release()
            self._aside.run(self._give_back())  # stopping does not wait for tmux

    async def _give_back(self) -> None:
        """Restore the user's status line, then stop watching the session."""
        await self._line.give_back(at_once=self._wishes.stopping)
        if self._line.given_back and not self.needed:
            self._confinement.stop()

    async def _session_running(self) -> bool:
        """Whether tmux can be steered now. If the session is gone, end every invitation."""
        running = await self._tmux.running()
        if running is Running.UNKNOWN:
            raise self._tmux.unknown()
        if running is Running.NO:
            self._confinement.stop()
            self._intent.happened("tmux-ended", "the tmux session is gone")
            self._intent.apply(End(Cause.TMUX_GONE))
            self.poke()
        return running is Running.YES

    async def _open(self) -> None:
        desired = self._wishes.now()
        for action in self._actions(desired):
            match action:
                case plan.WriteGrants(grants):  # this sshd needs another time format
                    self._entrance.write(grants)
                case plan.OpenDoor(port):
                    await self._entrance.open(port)
                case _:  # _close has done what revokes rights
                    pass
        self._entrance.note(desired.access)

    def _tmux_silent(self) -> None:
        """Have read guests cut: nobody controls what they see while tmux cannot be steered."""
        self._guests.lose_sight(self._wishes.now().access)
        if any(login.astray for login in self.logins):
            self._revoked.set()
        self._report_trouble(self._tmux.silent())
        self.poke()
