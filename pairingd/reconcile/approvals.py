"""Guests who wait for the host's word: the question, the answer, and what follows from it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from pairingd.core.approval import ANSWER_S, Desk, Entry, Visitor
from pairingd.core.text import shell
from pairingd.errors import WorldError
from pairingd.intent import Intent
from pairingd.reconcile.confinement import Confinement
from pairingd.reconcile.login import Login
from pairingd.reconcile.messages import Messages
from pairingd.reconcile.popups import Popups
from pairingd.reconcile.roster import Roster
from pairingd.signals import Signals
from pairingd.visits import Joined
from pairingd.world.forced_command import connection_of
from pairingd.world.tmux import Tmux

_LOOK_S = 1.0  # at the wall clock, which goes on while the machine sleeps
_ACCEPTED_S = 5.0  # for sshd's word on a key, which may come after that of the forced command
_POLL_S = 0.05


class Answer(Struct, frozen=True):
    """`text` is for the guest."""

    approved: bool
    text: str


_YES = Answer(approved=True, text="")
_NOBODY = Answer(approved=False, text="you are not invited any more")
_TWICE = Answer(approved=False, text="this connection waits already")
_DENIED = Answer(approved=False, text="the host did not let you in")
_LATE = Answer(approved=False, text=f"nobody answered in {ANSWER_S} seconds; try again later")
_ABSENT = Answer(
    approved=False, text="the host is not at the session now; ask them, then try again"
)
_WHY = {_DENIED: "by the host", _LATE: "nobody answered", _ABSENT: "nobody was attached"}


class Approvals:
    """`waiting` has those whom the host has to answer."""

    def __init__(
        self,
        intent: Intent,
        roster: Roster,
        tmux: Tmux,
        confinement: Confinement,
        messages: Messages,
        signals: Signals,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._desk = Desk()
        self._intent = intent
        self._roster = roster
        self._confinement = confinement
        self._messages = messages
        self._guest_waits = signals.guest_waits
        self._popups = Popups(tmux, self._hosts, self._has_no_popup)
        self._clock = clock
        self._changed = changed
        self._answers: dict[int, asyncio.Future[Answer]] = {}

    @property
    def waiting(self) -> tuple[Visitor, ...]:
        return self._desk.waiting

    async def ask(self, process: int) -> Answer:
        """The host's answer to the guest before whom `process`, a forced command, stands. Cancelled
        where they leave.
        """
        login = await self._login_of(process)
        if login is None or login.entry is Entry.DENIED:
            return _NOBODY
        if login.entry is Entry.FREE:
            return _YES
        if login.entry is Entry.WAITS:
            return _TWICE
        now = self._clock()
        if self._desk.remembers(login.invitation or "", login.fingerprint, now):
            return self._let_in(login)
        visitor = Visitor(
            login.pid, login.invitation or "", login.guest, login.fingerprint, login.peer, now
        )
        login.entry = Entry.WAITS
        self._desk = self._desk.asked(visitor)
        try:
            return await self._wait(visitor)
        finally:
            if login.entry is Entry.WAITS:  # they have left, or pairingd ends
                self._deny(visitor, None)

    def decide(self, guest: str, pid: int | None, *, approve: bool) -> None:
        """Answer for the host. Raises Refused `not-waiting` or `several-waiting`."""
        for visitor in self._desk.meant(guest, pid, approve=approve):
            self._answer(visitor, _YES if approve else _DENIED)

    async def _login_of(self, process: int) -> Login | None:
        """None where `process` serves no guest who is invited."""
        pid = connection_of(process, self._roster.logins)
        until = asyncio.get_running_loop().time() + _ACCEPTED_S
        while login := self._roster.logins.get(pid or 0):
            if login.invitation:
                return login
            if asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(_POLL_S)
        return None

    async def _wait(self, visitor: Visitor) -> Answer:
        self._intent.happened("waiting", _told(visitor, "waits for approval"), **_data(visitor))
        self._changed()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[visitor.pid] = answer
        asking = asyncio.create_task(self._put(visitor))
        try:
            while not answer.done():
                if self._clock() >= visitor.until:
                    self._answer(visitor, _LATE)
                await asyncio.wait({answer}, timeout=_LOOK_S)
            return answer.result()
        finally:
            del self._answers[visitor.pid]
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    async def _put(self, visitor: Visitor) -> None:
        """Before the host, until it is answered."""
        if not (self._may_wait(visitor) or await self._hosts()):
            self._answer(visitor, _ABSENT)
        else:
            self._guest_waits(_how_to_answer(visitor))
            await self._popups.show(visitor)

    def _may_wait(self, visitor: Visitor) -> bool:
        live = self._intent.state.live
        return any(one.id == visitor.invitation and one.conditions.wait for one in live)

    async def _hosts(self) -> set[str]:
        """The host's terminals in the session, by name; where tmux does not answer, none."""
        with contextlib.suppress(WorldError):
            clients = await self._confinement.hosts(self._roster.logins)
            return {one.name for one in clients}
        return set()

    def _has_no_popup(self, visitor: Visitor) -> None:
        self._messages.to_host(_how_to_answer(visitor))

    def _answer(self, visitor: Visitor, answer: Answer) -> None:
        login = self._roster.logins.get(visitor.pid)
        if login is None:
            self._deny(visitor, None)
            answer = _NOBODY
        elif answer.approved:
            self._desk = self._desk.let_in(visitor, self._clock())
            self._intent.happened(
                "approved", _told(visitor, "was let in by the host"), **_data(visitor)
            )
            answer = self._let_in(login)
        else:
            self._deny(visitor, answer)
        future = self._answers.get(visitor.pid)
        if future and not future.done():
            future.set_result(answer)

    def _let_in(self, login: Login) -> Answer:
        one = next((one for one in self._intent.state.live if one.id == login.invitation), None)
        if one is None:
            return _NOBODY
        login.let_in(one.access)
        self._changed()
        return _YES

    def _deny(self, visitor: Visitor, answer: Answer | None) -> None:
        """None: nobody has answered, they have left before."""
        self._desk = self._desk.without({visitor.pid})
        if answer:
            what = f"was denied ({_WHY[answer]})"
            self._intent.happened("denied", _told(visitor, what), **_data(visitor))
            self._messages.to_host(f"{visitor.guest} {what}")
        else:
            self._intent.happened(
                "withdrew", _told(visitor, "does not wait any more"), **_data(visitor)
            )
        if login := self._roster.logins.get(visitor.pid):
            login.deny(self._clock())
        self._changed()


def _told(visitor: Visitor, what: str) -> str:
    return f"{visitor.guest} {what}: {visitor.fingerprint} from {visitor.peer}"


def _data(visitor: Visitor) -> dict[str, Any]:
    return asdict(
        Joined(visitor.invitation, visitor.guest, visitor.peer, visitor.fingerprint, visitor.pid)
    )


def _how_to_answer(visitor: Visitor) -> str:
    return f"{visitor.guest} waits: {shell('pairctl', 'approve', visitor.guest)}, or deny"
