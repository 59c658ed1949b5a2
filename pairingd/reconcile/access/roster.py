"""Who is connected: turns the door's events into logins, history lines and journal entries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from msgspec.structs import asdict

from pairingd.core import plan
from pairingd.core.admission import MAX_PER_GUEST
from pairingd.core.approval import Entry
from pairingd.core.durations import utc
from pairingd.core.events import Came, Went
from pairingd.core.model import Cause, Invitation, State
from pairingd.core.notices import LONG_ACCESS
from pairingd.core.refusal import Refused
from pairingd.errors import WorldError
from pairingd.process.left_over import end_left_over
from pairingd.reconcile.access.knocks import Knocks
from pairingd.reconcile.access.login import NO_TERMINAL, Login
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.journal import journal
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.state.visits import Joined, Left, Visit, visits
from pairingd.world.door import (
    Authenticated,
    Connected,
    Disconnected,
    Door,
    LoginRefused,
    PeerEvent,
    Reached,
    TurnedAway,
)
from pairingd.world.tmux import Running, Tmux

log = logging.getLogger(__name__)

_TYPED_INTERVAL_S = 15  # between the journal's entries of when a guest typed
_TMUX_END_S = 10.0  # for a server whose clients are gone to be gone, too, on a busy machine
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # between its answers


class Roster:
    """`logins` has the connections by the pid of their sshd, as of the last event taken."""

    def __init__(
        self, intent: Intent, store: Store, tmux: Tmux, door: Door, signals: Signals, aside: Aside
    ) -> None:
        self.logins: dict[int, Login] = {}
        self.knocks = Knocks(intent, signals.knocked)
        self._intent = intent
        self._store = store
        self._tmux = tmux
        self._door = door
        self._signals = signals
        signals.lapsed.connect(self._note_lapsed)
        self._departed: list[Login] = []
        self._aside = aside

    def recover(self) -> None:
        """End the connections that a crash left behind; call once, before the first event."""
        processes = self._store.processes()
        # End all of them before writing anything: the disk may be full.
        ended = {
            process.pid
            for process in processes
            if end_left_over(process.pid, process.started, process.boot)
        }
        for _ in ended:
            self._intent.happened("recovered", "ended a connection that a crash had left")
        typed = {process.pid: process.typed_at for process in processes}
        self._store.forget_processes(*typed)
        session = self._intent.state.session
        try:
            history = self._store.history_of(session.id) if session else []
        except ValueError:
            log.exception("the history cannot be read")
            return
        for visit in visits(history):
            if visit.until is None:
                cause, at = self._interrupted(visit, was_left=visit.joined.pid in ended)
                typed_at = typed.get(visit.joined.pid)
                self._left(visit.left(cause, _utc(typed_at)), at=max(at, typed_at or 0))

    def _interrupted(self, visit: Visit, *, was_left: bool) -> tuple[Cause, float]:
        """Why and when it ended, which the daemon of that time has not written down. Its guests
        went when it did, unless a connection `was_left`.
        """
        now, seen = self._intent.now(), self._store.live.seen
        last = now if was_left or not seen else min(max(seen, visit.since), now)
        invitation = self._intent.state.invitation(visit.joined.invitation)
        if invitation and invitation.cause and not was_left:
            over = invitation.over_at or last
            if over <= last:
                return invitation.cause, max(float(over), visit.since)
        return Cause.DAEMON_STOPPED, last

    def take(self, event: PeerEvent) -> None:
        """Quick: it does not wait for the disk."""
        match event:
            case Reached(peer):
                self._signals.stranger_came(peer)
            case Connected(pid, peer, since, dialed):
                self.logins[pid] = Login(pid, peer, since, dialed)
            case Authenticated(pid, fingerprint, invitation):
                self._authenticated(self.logins[pid], fingerprint, invitation)
            case LoginRefused(pid, fingerprint, other_user, unlike):
                self.logins[pid].refuse(fingerprint, other_user=other_user, unlike=unlike)
            case TurnedAway(peer, reason, ban):
                log.info("turned away %s: %s", peer, reason.value)
                if ban:
                    self.knocks.banned(peer, ban)
            case Disconnected(pid):
                self._departed.append(self.logins.pop(pid))

    def note_departures(self) -> None:
        """Apart from `take`: the disk may be slow while other guests must be cut."""
        departed, self._departed = self._departed, []
        if departed:
            with self._intent.together():
                self._store.forget_processes(*(login.pid for login in departed))
                for place, login in enumerate(departed, 1):
                    others = (*self.logins.values(), *departed[place:])
                    is_last = not _are_put_out(others, login.invitation)
                    try:
                        self._note_departure(login, is_last=is_last)
                    except Exception:  # as of a damaged session: the others' must be noted
                        log.exception("the departure of %s is not noted", login.peer)
        present = {login.invitation for login in self.logins.values()}
        for invitation in {login.invitation for login in departed} - present:
            if invitation:
                self._intent.apply(Went(invitation))

    def observed(self, now: float) -> tuple[plan.Connection, ...]:
        """The connections, in the form that the plan needs."""
        return tuple(login.observed(now) for login in self.logins.values())

    def typed(self, pid: int, at: int) -> None:
        """The guest of that connection has pressed a key. tmux reports `at`, which a write guest
        can forge.
        """
        if login := self.logins.get(pid):
            login.typed_at = max(min(at, int(self._intent.now())), login.typed_at or 0)
            if login.typed_at - login.typed_journaled >= _TYPED_INTERVAL_S:
                login.typed_journaled = login.typed_at
                with contextlib.suppress(WorldError):
                    journal(self._store, pid, login.typed_at)

    def _authenticated(self, login: Login, fingerprint: str, known: str) -> None:
        """A login without a live invitation, or with too many connections, is cut."""
        state = self._intent.state
        login.authenticated, login.fingerprint = True, fingerprint
        login.session = state.session.id if state.session else ""
        for invitation in state.live:
            keys = [key.fingerprint for key in invitation.keys]
            if invitation.id == known and len(keys) == 1:
                login.fingerprint = keys[0]
            used = invitation.rights.used  # its key is removed; this login came before that
            if not used and (invitation.id == known or fingerprint in keys):
                self._admit(login, invitation)
                break
        self._door.admit(login.pid, guest=login.invitation is not None)

    def _admit(self, login: Login, invitation: Invitation) -> None:
        guest = invitation.guest
        if (
            sum(other.invitation == invitation.id for other in self.logins.values())
            >= MAX_PER_GUEST
        ):
            text = f"{guest} has {MAX_PER_GUEST} connections already"
            self._intent.happened("refused", text, peer=login.peer)
            return
        login.admit(invitation)
        text = f"{guest} logged in from {login.peer}"
        self._intent.happened("logged-in", text, **asdict(_joined(login)))
        if login.dialed:  # which proves nothing for guests who are not dialed
            self._signals.guest_answered(login.dialed)
        else:
            self._signals.guest_came(login.peer)

    def note_joined(self, login: Login) -> None:
        """Note that the guest is in the session. If another visit has used up an invitation for one
        visit, the connection must not stay.
        """
        try:
            self._intent.apply(Came(login.invitation or ""))
        except Refused as used_up:
            login.astray, login.cause = used_up.message, Cause.USED
            self._intent.happened("refused", used_up.message, peer=login.peer)
            return
        login.joined = True
        text = f"{login.guest} joined from {login.peer}"
        self._intent.happened("joined", text, **asdict(_joined(login)))
        again = " again" if self._inside(login.invitation) > 1 else ""
        access = f" ({LONG_ACCESS[login.access]})" if login.access else ""
        self._signals.guests_changed(f"{login.guest} joined{again}{access}")

    def _note_lapsed(self, invitation: str, text: str) -> None:
        """Report the end of an invitation, unless its guest was in: then their departure does."""
        was_in = any(login.joined and login.invitation == invitation for login in self._departed)
        if not (was_in or self._inside(invitation)):
            self._signals.guests_changed(text)

    def _inside(self, invitation: str | None) -> int:
        """How many terminals the guest of `invitation` has in the session."""
        visits = (login.invitation for login in self.logins.values() if login.joined)
        return sum(visit == invitation for visit in visits)

    def _note_departure(self, login: Login, *, is_last: bool) -> None:
        """`is_last`: none of the guest's other connections is being cut."""
        if login.entry in {Entry.WAITS, Entry.DENIED}:
            return  # reconcile.approvals has reported it
        if login.guest and not login.joined:
            cause, reason = login.left_for(self._invitation_of(login))
            left = _left(login, cause, reason if login.cut_for else NO_TERMINAL)
            text = f"{login.guest} logged out ({login.peer}): {left.about}"
            self._intent.happened("logged-out", text, session=login.session, **asdict(left))
        elif login.guest and login.cut_for:
            self._note_left(login, is_last=is_last)
        elif login.guest:
            login.cause, _ = login.left_for(self._invitation_of(login))
            self._aside.run(self._note_why_left(login, is_last=is_last))
        elif login.refused:
            self.knocks.refused(login.refused)

    async def _note_why_left(self, login: Login, *, is_last: bool) -> None:
        if login.cause is Cause.LEFT and await self._is_tmux_gone():
            login.cause = Cause.TMUX_GONE
        self._note_left(login, is_last=is_last)

    async def _is_tmux_gone(self) -> bool:
        """Its clients are gone before a server that ends is: meanwhile it may answer nothing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TMUX_END_S):
                for pause in _PAUSES_S:
                    if (running := await self._tmux.running()) is not Running.UNKNOWN:
                        return running is Running.NO
                    await asyncio.sleep(pause)
        return False

    def _invitation_of(self, login: Login) -> Invitation | None:
        state = self._intent.state
        if state.session is None or state.session.id != login.session:
            state = State(self._store.session(login.session))
        return state.invitation(login.invitation)

    def _note_left(self, login: Login, *, is_last: bool) -> None:
        cause, reason = login.left_for(self._invitation_of(login))
        self._left(_left(login, cause, reason), session=login.session)
        if cause is Cause.LEFT:
            place = " one of their terminals" if self._inside(login.invitation) else ""
            self._signals.guests_changed(f"{login.guest} left{place}")
        elif is_last:
            self._signals.guests_changed(f"{login.guest}: {reason}")

    def _left(self, left: Left, *, session: str = "", at: float | None = None) -> None:
        text = f"{left.guest} is out ({left.peer}): {left.about}"
        when = self._intent.now() if at is None else at
        self._intent.happened_at(when, "left", text, asdict(left), session)


def _are_put_out(logins: Iterable[Login], invitation: str | None) -> bool:
    """Whether pairing is cutting a guest of `invitation` among `logins`."""
    return any(login.cut_for and login.invitation == invitation for login in logins)


def _joined(login: Login) -> Joined:
    return Joined(
        invitation=login.invitation or "",
        guest=login.guest,
        peer=login.peer,
        fingerprint=login.fingerprint,
        pid=login.pid,
    )


def _left(login: Login, cause: Cause, reason: str) -> Left:
    return Left(
        invitation=login.invitation or "",
        guest=login.guest,
        peer=login.peer,
        pid=login.pid,
        why=cause.value,
        about=reason,
        typed_at=_utc(login.typed_at),
    )


def _utc(at: int | None) -> str | None:
    return utc(at) if at else None
