"""Who is connected: the door's events become logins, lines of the history and of the journal."""

from __future__ import annotations

import logging
from dataclasses import asdict

from pairingd.core.admission import MAX_PER_GUEST
from pairingd.core.approval import Entry
from pairingd.core.model import Invitation
from pairingd.intent import Intent
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.login import Login
from pairingd.signals import Signals
from pairingd.store import Process, Store
from pairingd.visits import Joined, Left, visits
from pairingd.world.door import (
    Authenticated,
    Connected,
    Disconnected,
    Door,
    Event,
    Refused,
    TurnedAway,
)
from pairingd.world.processes import boot, end_left_over, start_time
from pairingd.world.tmux import Running, Tmux

log = logging.getLogger(__name__)

TMUX_ENDED = "the tmux session ended"


class Roster:
    """`logins` has the connections by the pid of their sshd, as far as the events were taken."""

    def __init__(
        self, intent: Intent, store: Store, tmux: Tmux, door: Door, signals: Signals
    ) -> None:
        self.logins: dict[int, Login] = {}
        self._intent = intent
        self._store = store
        self._tmux = tmux
        self._door = door
        self._signals = signals
        self._departed: list[Login] = []
        self._aside = Aside()

    def recover(self) -> None:
        """End the connections that a crash left behind; call once, before the first event."""
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

    def take(self, event: Event) -> None:
        """Quick: only the journal waits for the disk. Raises WorldError where that is not written;
        then the connection must not stay.
        """
        match event:
            case Connected(pid, peer, since):
                self.logins[pid] = Login(pid, peer, since)
                self._journal(pid)
            case Authenticated(pid, fingerprint):
                self._authenticated(self.logins[pid], fingerprint)
            case Refused(pid):
                self.logins[pid].refused = True
            case TurnedAway(peer, reason):
                log.info("turned away %s: %s", peer, reason.value)
            case Disconnected(pid):
                self._departed.append(self.logins.pop(pid))

    def note_departures(self) -> None:
        """Apart from `take`: a disk may be slow, and others may have to be cut."""
        departed, self._departed = self._departed, []
        if departed:
            with self._intent.together():
                self._store.forget_processes(*(login.pid for login in departed))
                for login in departed:
                    self._note_departure(login)

    async def rest(self) -> None:
        """Wait until all that no deadline waits for is done."""
        await self._aside.rest()

    def _journal(self, pid: int) -> None:
        started = start_time(pid)
        if started is not None:
            self._store.record_process(Process(pid, started, boot()))

    def _authenticated(self, login: Login, fingerprint: str) -> None:
        """Who has no live invitation, or too many connections, is left without one, and cut."""
        state = self._intent.state
        login.fingerprint = fingerprint
        login.session = state.session.id if state.session else ""
        for invitation in state.live:
            if any(key.fingerprint == fingerprint for key in invitation.keys):
                self._admit(login, invitation)
                break
        self._door.admit(login.pid, guest=login.invitation is not None)

    def _admit(self, login: Login, invitation: Invitation) -> None:
        guest = invitation.guest
        if sum(one.invitation == invitation.id for one in self.logins.values()) >= MAX_PER_GUEST:
            text = f"{guest} has {MAX_PER_GUEST} connections already"
            self._intent.happened("refused", text, peer=login.peer)
            return
        login.admit(invitation)
        if login.entry is Entry.FREE:
            self.note_joined(login)
        self._signals.guest_came(login.peer)

    def note_joined(self, login: Login) -> None:
        """For one who asks: once the host has approved."""
        joined = Joined(
            invitation=login.invitation or "",
            guest=login.guest,
            peer=login.peer,
            fingerprint=login.fingerprint,
            pid=login.pid,
        )
        text = f"{login.guest} joined from {login.peer}"
        self._intent.happened("joined", text, **asdict(joined))
        access = f" ({login.access.value})" if login.access else ""
        self._signals.guests_changed(f"{login.guest} joined{access}")

    def _note_departure(self, login: Login) -> None:
        if login.entry in {Entry.WAITS, Entry.DENIED}:
            return  # reconcile.approvals has told of it
        if login.guest and login.cut_for:
            self._note_left(login, login.cut_for)
        elif login.guest:
            self._aside.run(self._note_why_left(login))
        elif login.refused:
            text = f"a login from {login.peer} failed"
            self._intent.happened("refused", text, peer=login.peer)

    async def _note_why_left(self, login: Login) -> None:
        ended = await self._tmux.running() is Running.NO
        self._note_left(login, TMUX_ENDED if ended else "they left")

    def _note_left(self, login: Login, why: str) -> None:
        left = Left(
            invitation=login.invitation or "",
            guest=login.guest,
            peer=login.peer,
            pid=login.pid,
            why=why,
        )
        self._left(left, session=login.session)
        self._signals.guests_changed(f"{login.guest} left")

    def _left(self, left: Left, *, session: str = "") -> None:
        text = f"{left.guest} is out ({left.peer}): {left.why}"
        self._intent.happened("left", text, session=session, **asdict(left))
