"""The quick lane: keys, connections, the door, and what tmux shows of the guests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pairingd.core import plan
from pairingd.core.admission import MAX_PER_GUEST
from pairingd.core.model import Access
from pairingd.core.rules import DoorOpened, End, Tick
from pairingd.errors import PairingError, WorldError
from pairingd.intent import Intent
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.confinement import Confinement, Place
from pairingd.reconcile.lane import Lane
from pairingd.reconcile.messages import Messages
from pairingd.reconcile.roles import change_roles
from pairingd.signals import Signals
from pairingd.store import Process, Store
from pairingd.visits import Joined, Left, visits
from pairingd.world.authorized_keys import AuthorizedKeys
from pairingd.world.awake import Awake
from pairingd.world.door import Connection, Door, Watcher
from pairingd.world.forced_command import role_of
from pairingd.world.processes import boot, end_left_over, start_time
from pairingd.world.sshd import ZULU_SINCE, Sshd
from pairingd.world.tmux import Running, Tmux

log = logging.getLogger(__name__)

LEAVING = 1.0  # seconds that an sshd has to end by itself after its guest's tmux client has
_TMUX_ENDED = "the tmux session ended"
JOINING = 20.0  # and that a guest may be in without one, as with ssh -N
ROLE_TIMEOUT_S = 1.0  # for a guest's forced command to take another role


class AccessLane(Lane):
    """Also the door's Watcher: it journals connections and says whose they are.

    `door` makes the door that it watches. `awake` None: the machine may go to sleep.
    """

    def __init__(
        self,
        intent: Intent,
        store: Store,
        tmux: Tmux,
        sshd: Sshd,
        authorized_keys: Path,
        fixed_port: int,
        clock: Callable[[], float],
        signals: Signals,
        *,
        door: Callable[[Watcher], Door],
        awake: Awake | None = None,
    ) -> None:
        super().__init__(clock, signals)
        self._confinement = Confinement(tmux, self.poke, self._tmux_silent)
        self.messages = Messages(tmux, self._confinement, lambda: self.door.connections)
        signals.wishes_changed.connect(self._intent_changed)
        signals.way_in_changed.connect(self.messages.to_host)
        signals.rights_changed.connect(self.messages.to_host)
        self.door = door(self)
        self._awake = awake
        self.stopping = False
        self._intent = intent
        self._store = store
        self._tmux = tmux
        self._sshd = sshd
        self._authorized_keys = authorized_keys
        self._fixed_port = fixed_port
        self._version = ZULU_SINCE
        self._departed: list[Connection] = []
        self._aside = Aside()
        self._taken = asyncio.Event()  # rights of somebody who is in, since the pass began

    def recover(self) -> None:
        """End the connections that a crash left behind; call once, before the first pass."""
        left = self._store.processes()
        # All of them before anything is written: the disk may be full.
        ended = [end_left_over(process.pid, process.started, process.boot) for process in left]
        for _ in filter(None, ended):
            self._intent.happened("recovered", "ended a connection that a crash had left")
        self._store.forget_processes(*(process.pid for process in left))
        session = self._intent.state.session
        try:
            history = self._store.history_of(session.id) if session else []
        except ValueError:
            log.exception("the history cannot be read")
            return
        for visit in visits(history):
            if visit.until is None:
                self._left(visit.left("pairingd had ended"))

    async def one_pass(self) -> float | None:
        """Close everything that must be closed, before anything else is asked of anyone: the disk
        may be full or slow, sshd gone, tmux stopped.
        """
        self._taken.clear()
        failure = await self._close()
        self._intent.apply(Tick())
        self._guard_connections()
        self._note_departures()
        if failure := failure or self._intent.unsaved:
            raise failure
        steering = asyncio.ensure_future(self._keep_awake_and_steer())
        taken = asyncio.ensure_future(self._taken.wait())
        try:
            await asyncio.wait(
                {steering, taken},
                timeout=self._until_deadline(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            taken.cancel()
            if not steering.done():
                steering.cancel()
                await asyncio.wait({steering})
        if steering.cancelled():
            self.poke()  # a deadline, or rights that were taken away, go before
        else:
            steering.result()
        return self.urgent()

    async def _keep_awake_and_steer(self) -> None:
        await self._keep_awake()
        await self._steer()

    def _intent_changed(self) -> None:
        access = self._desired().access
        if any(
            one.invitation and one.entered_as not in {None, access.get(one.invitation)}
            for one in self.door.connections.values()
        ):
            self._taken.set()
        self.poke()

    async def _steer(self) -> None:
        if self._desired().door:
            self._version = await self._sshd.prepare()
            if await self._session_running():
                await self._confinement.watch()
                await self._hold_guests()
                await self._open()
        else:
            self._confinement.stop()

    def _until_deadline(self) -> float | None:
        deadline = self.urgent()
        return None if deadline is None else max(deadline - self.clock(), 0.01)

    def urgent(self) -> float | None:
        """When somebody must be out, which no failure may delay."""
        if self.stopping:
            return None
        leaving = [
            one.absent_since + _patience(one)
            for one in self.door.connections.values()
            if one.absent_since is not None
        ]
        expiring = plan.next_deadline(self._intent.state)
        return min([*leaving, *([] if expiring is None else [expiring])], default=None)

    async def _keep_awake(self) -> None:
        if self._awake is None:
            return
        if any(one.invitation for one in self.door.connections.values()):
            await self._awake.start()
        else:
            await self._awake.stop()

    def _desired(self) -> plan.Desired:
        return plan.NOTHING if self.stopping else plan.desired(self._intent.state, self.clock())

    def _keys(self) -> AuthorizedKeys:
        return AuthorizedKeys(
            self._authorized_keys,
            self._tmux.command,
            self._tmux.socket,
            self._tmux.target,
            self._authorized_keys.with_name("live"),
            zulu=self._version >= ZULU_SINCE,
        )

    def _observed(self, want: plan.Desired) -> plan.Observed:
        return plan.Observed(
            grants=self._keys().grants(want.grants),
            door_port=self.door.port,
            connections=tuple(
                plan.Connection(
                    one.pid,
                    one.fingerprint is not None,
                    one.invitation,
                    astray=bool(one.astray) or self._adrift(one),
                    role=role_of(one.command) if one.command else one.entered_as,
                )
                for one in self.door.connections.values()
            ),
        )

    async def _close(self) -> PairingError | None:
        """Each closing is tried whatever becomes of the others; the first failure is returned."""
        want = self._desired()
        failure: PairingError | None = None
        actions = plan.access(want, self._observed(want))
        if plan.CloseDoor() in actions:
            self._close_door()
        try:
            await self._cut([action.pid for action in actions if isinstance(action, plan.Cut)])
        except Exception:  # a defect, and the keys must go all the same
            log.exception("a connection could not be cut")
            failure = WorldError(
                "not-cut", "a connection could not be cut", "pairctl stop ends them all"
            )
        for action in actions:
            if isinstance(action, plan.WriteGrants):
                try:
                    self._keys().write(action.grants)
                except WorldError as error:
                    # A key that cannot be taken out must find the door shut.
                    self._close_door()
                    failure = error
        await self._change_roles(
            action for action in actions if isinstance(action, plan.ChangeRole)
        )
        return failure

    async def _open(self) -> None:
        want = self._desired()
        for action in plan.access(want, self._observed(want)):
            match action:
                case plan.WriteGrants(grants):  # this sshd writes its times another way
                    self._keys().write(grants)
                case plan.OpenDoor(port):
                    self.door.open(preferred=port, fixed=self._fixed_port)
                    self._intent.happened(
                        "door-opened", f"the door is open on port {self.door.port}"
                    )
                    self._signals.door_changed()
        if self.door.port is not None:
            self._intent.apply(DoorOpened(self.door.port))

    def _close_door(self) -> None:
        if self.door.port is not None:
            self.door.close()
            self._intent.happened("door-closed", "the door is closed")
            self._signals.door_changed()

    async def _session_running(self) -> bool:
        """Whether tmux can be steered now; a session that is gone ends every invitation."""
        match await self._tmux.running():
            case Running.YES:
                return True
            case Running.NO:
                self._intent.happened("tmux-ended", "the tmux session is gone")
                for one in self.door.connections.values():
                    one.cut_for = one.cut_for or _TMUX_ENDED
                self._intent.apply(End())
                self.poke()
                return False
            case Running.UNKNOWN:
                raise self._tmux.unknown()

    async def _change_roles(self, changes: Iterable[plan.ChangeRole]) -> None:
        """A guest whose role does not change in time is cut."""
        limit = min(ROLE_TIMEOUT_S, self._until_deadline() or ROLE_TIMEOUT_S)
        late = await change_roles(changes, self.door.connections, limit, self._taken.is_set)
        if not late:
            return
        if limit < ROLE_TIMEOUT_S or self._taken.is_set():
            self.poke()  # somebody else's rights go before
            return
        for pid in late:
            self.door.connections[pid].astray = "their role could not be changed"
        await self._cut(late)

    async def _hold_guests(self) -> None:
        """Guests are in the shared session, or marked to be cut by the next pass."""
        access = self._desired().access
        guests = {
            one.pid: access[one.invitation]
            for one in self.door.connections.values()
            if one.invitation and one.invitation in access
        }
        if not guests:
            return
        self._note_places(await self._confinement.hold(guests))
        if any(
            one.astray or (one.command and role_of(one.command) is not guests.get(one.pid))
            for one in self.door.connections.values()
        ):
            self.poke()

    def _tmux_silent(self) -> None:
        """Nothing can be steered: who may only look does not look at what nobody controls."""
        access = self._desired().access
        for one in self.door.connections.values():
            if one.invitation and access.get(one.invitation) is Access.READ:
                one.astray = "tmux does not answer"
        self._signals.troubled(self._tmux.silent())
        self.poke()

    def _note_places(self, places: Mapping[int, Place]) -> None:
        for one in self.door.connections.values():
            if place := places.get(one.pid):
                if not one.attached and role_of(place.command) is Access.READ:
                    self.messages.to_read_guest(one.pid)
                one.attached, one.absent_since, one.command = True, None, place.command
                if place.astray:
                    one.astray = "they were not in the shared session, or their terminal too large"
            elif one.invitation and one.absent_since is None:
                one.absent_since = self.clock()

    def _adrift(self, one: Connection) -> bool:
        return one.absent_since is not None and self.clock() - one.absent_since >= _patience(one)

    async def _cut(self, pids: Iterable[int]) -> None:
        connections = self.door.connections
        reasons = {pid: self._reason(connections[pid]) for pid in pids if pid in connections}
        await self.door.cut(reasons, self._confinement.farewell)

    def _reason(self, connection: Connection) -> str:
        if self.stopping:
            return "pairingd stops"
        if connection.astray:
            return connection.astray
        if self._adrift(connection):
            return "they left the session but not the machine"
        return "the invitation is over"

    def _guard_connections(self) -> None:
        """The guardian knows each guest's deadline, for a daemon that cannot keep it."""
        now = self.clock()
        ends = {one.id: one.expires_at - now for one in self._intent.state.live}
        self.door.guard(
            {
                one.pid: max(ends.get(one.invitation or "", 0.0), 0.0)
                for one in self.door.connections.values()
                if one.fingerprint
            }
        )

    # Watcher

    def connected(self, connection: Connection) -> None:
        started = start_time(connection.pid)
        if started is not None:
            self._store.record_process(Process(connection.pid, started, boot()))

    def accepted(self, connection: Connection) -> None:
        """Who has no live invitation, or too many connections, is left without one, and cut."""
        session = self._intent.state.session
        connection.session = session.id if session else ""
        for invitation in self._intent.state.live:
            if any(key.fingerprint == connection.fingerprint for key in invitation.keys):
                if self._connections_of(invitation.id) >= MAX_PER_GUEST:
                    self._intent.happened(
                        "refused",
                        f"{invitation.guest} has {MAX_PER_GUEST} connections already",
                        peer=connection.peer,
                    )
                    break
                connection.invitation, connection.guest = invitation.id, invitation.guest
                connection.entered_as = invitation.access
                self._intent.happened(
                    "joined",
                    f"{invitation.guest} joined from {connection.peer}",
                    **asdict(
                        Joined(
                            invitation=invitation.id,
                            guest=invitation.guest,
                            peer=connection.peer,
                            fingerprint=connection.fingerprint or "",
                            pid=connection.pid,
                        )
                    ),
                )
                self.messages.to_host(f"{invitation.guest} joined ({invitation.access.value})")
                self._signals.guest_came(connection.peer)
        self.poke()

    def disconnected(self, connection: Connection) -> None:
        """Written down by the next pass: a disk may be slow, and others may have to be cut."""
        self._departed.append(connection)
        self.poke()

    def _note_departures(self) -> None:
        departed, self._departed = self._departed, []
        if departed:
            with self._intent.together():
                self._note(departed)

    def _note(self, departed: Sequence[Connection]) -> None:
        self._store.forget_processes(*(connection.pid for connection in departed))
        for connection in departed:
            if connection.guest and connection.cut_for:
                self._note_left(connection, connection.cut_for)
            elif connection.guest:
                self._aside.run(self._note_why_left(connection))
            elif connection.failed:
                self._intent.happened(
                    "refused", f"a login from {connection.peer} failed", peer=connection.peer
                )

    async def _note_why_left(self, connection: Connection) -> None:
        ended = await self._tmux.running() is Running.NO
        self._note_left(connection, _TMUX_ENDED if ended else "they left")

    def _note_left(self, connection: Connection, why: str) -> None:
        left = Left(
            invitation=connection.invitation or "",
            guest=connection.guest,
            peer=connection.peer,
            pid=connection.pid,
            why=why,
        )
        self._left(left, session=connection.session)
        self.messages.to_host(f"{connection.guest} left")

    def _left(self, left: Left, *, session: str = "") -> None:
        text = f"{left.guest} is out ({left.peer}): {left.why}"
        self._intent.happened("left", text, session=session, **asdict(left))

    def turned_away(self, peer: str, reason: str) -> None:
        log.info("turned away %s: %s", peer, reason)

    def _connections_of(self, invitation: str) -> int:
        return sum(one.invitation == invitation for one in self.door.connections.values())

    async def rest(self) -> None:
        """Wait until all that no deadline waits for is done."""
        await self._aside.rest()
        await self.messages.rest()


def _patience(one: Connection) -> float:
    return LEAVING if one.attached else JOINING
