"""Guests who wait for the host's approval: the question, the answer, and its effects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from pairingd.core import causes
from pairingd.core.approval import ANSWER_S, Desk, Entry, Visitor
from pairingd.core.model import Cause
from pairingd.core.news import Forms
from pairingd.core.text import shell
from pairingd.reconcile.access.confinement import Confinement
from pairingd.reconcile.access.login import Login
from pairingd.reconcile.access.messages import Messages
from pairingd.reconcile.access.popups import Popups
from pairingd.reconcile.access.roster import Roster
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.visits import Joined
from pairingd.world.forced_command import connection_of
from pairingd.world.tmux import Tmux

_CLOCK_CHECK_INTERVAL_S = 1.0  # of the wall clock, which goes on while the machine sleeps
_KEY_ACCEPTED_TIMEOUT_S = 5.0  # sshd may report a key after its forced command asks
_POLL_INTERVAL_S = 0.05


class Answer(Struct, frozen=True):
    """`text` is for the guest."""

    approved: bool
    text: str


_APPROVED = Answer(approved=True, text="")
_NOT_INVITED = Answer(approved=False, text="you are not invited any more")
_WAITING_ALREADY = Answer(approved=False, text="this connection waits already")
_DENIED = Answer(approved=False, text="the host did not let you in")
_NOT_ANSWERED = Answer(
    approved=False, text=f"nobody answered in {ANSWER_S} seconds; try again later"
)
_HOST_ABSENT = Answer(
    approved=False, text="the host is not at the session now; ask them, then try again"
)
_DENY_REASONS = {
    _DENIED: "by the host",
    _NOT_ANSWERED: "nobody answered",
    _HOST_ABSENT: "nobody was attached",
}


class Approvals:
    """`waiting` has the guests whom the host has yet to answer."""

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
        self._messages = messages
        self._guest_waits = signals.guest_waits
        self._hosts = partial(confinement.hosts, roster.logins)
        self._popups = Popups(tmux, self._hosts, self._has_no_popup)
        self._clock = clock
        self._changed = changed
        self._answers: dict[int, asyncio.Future[Answer]] = {}

    @property
    def waiting(self) -> tuple[Visitor, ...]:
        return self._desk.waiting

    async def ask(self, process: int) -> Answer:
        """The host's answer to the guest of `process`, a forced command. The caller cancels it when
        the guest leaves.
        """
        login = await self._login_of(process)
        if login is None or login.entry is Entry.DENIED:
            return _NOT_INVITED
        if login.entry is Entry.FREE:
            return _APPROVED
        if login.entry is Entry.WAITS:
            return _WAITING_ALREADY
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
            if login.entry is Entry.WAITS:  # they have left, or pairingd stops
                self._deny(visitor, None)

    def decide(self, guest: str, pid: int | None, *, approve: bool) -> None:
        """Answer for the host. Raises Refused `not-waiting` or `several-waiting`."""
        for visitor in self._desk.meant(guest, pid, approve=approve):
            self._answer(visitor, _APPROVED if approve else _DENIED)

    def dismiss(self, pid: int, reason: str) -> bool:
        """Have the guest of that connection, which is being cut, read `reason`. Returns whether
        they wait.
        """
        return self._reply(pid, Answer(approved=False, text=reason))

    async def _login_of(self, process: int) -> Login | None:
        """None if `process` serves no invited guest."""
        pid = connection_of(process, self._roster.logins)
        until = asyncio.get_running_loop().time() + _KEY_ACCEPTED_TIMEOUT_S
        while login := self._roster.logins.get(pid or 0):
            if login.invitation:
                return login
            if asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(_POLL_INTERVAL_S)
        return None

    async def _wait(self, visitor: Visitor) -> Answer:
        self._intent.happened("waiting", _describe(visitor, "waits for approval"), **_data(visitor))
        self._changed()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[visitor.pid] = answer
        asking = asyncio.create_task(self._ask_host(visitor))
        try:
            while not answer.done():
                if self._clock() >= visitor.until:
                    self._answer(visitor, _NOT_ANSWERED)
                await asyncio.wait({answer}, timeout=_CLOCK_CHECK_INTERVAL_S)
            return answer.result()
        finally:
            del self._answers[visitor.pid]
            self._messages.is_answered(visitor.pid)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    async def _ask_host(self, visitor: Visitor) -> None:
        """Show the question until the host answers. One who asks too often is shown in the status
        line alone.
        """
        if not (self._may_wait(visitor) or await self._hosts()):
            self._answer(visitor, _HOST_ABSENT)
        elif self._desk.may_interrupt(visitor, self._clock()):
            self._desk = self._desk.interrupts(visitor, self._clock())
            self._guest_waits(_how_to_answer(visitor)[0])
            await self._popups.show(visitor)
        else:
            self._messages.ask_host(visitor.pid, _how_to_answer(visitor), by_message=False)

    def _may_wait(self, visitor: Visitor) -> bool:
        invitation = self._intent.state.invitation(visitor.invitation)
        return invitation is not None and invitation.live and invitation.conditions.wait

    def _has_no_popup(self, visitor: Visitor) -> None:
        self._messages.ask_host(visitor.pid, _how_to_answer(visitor))

    def _answer(self, visitor: Visitor, answer: Answer) -> None:
        login = self._roster.logins.get(visitor.pid)
        if login is None:
            self._deny(visitor, None)
            answer = _NOT_INVITED
        elif answer.approved:
            self._desk = self._desk.let_in(visitor, self._clock())
            self._intent.happened(
                "approved", _describe(visitor, "was let in by the host"), **_data(visitor)
            )
            answer = self._let_in(login)
        else:
            self._deny(visitor, answer)
        self._reply(visitor.pid, answer)

    def _reply(self, pid: int, answer: Answer) -> bool:
        future = self._answers.get(pid)
        if future is None or future.done():
            return False
        future.set_result(answer)
        return True

    def _let_in(self, login: Login) -> Answer:
        invitation = self._intent.state.invitation(login.invitation)
        if invitation is None or not invitation.live:
            return _NOT_INVITED
        login.let_in(invitation.access)
        self._changed()
        return _APPROVED

    def _deny(self, visitor: Visitor, answer: Answer | None) -> None:
        """`answer` is None if they left before the host answered."""
        self._desk = self._desk.without({visitor.pid})
        if answer:
            outcome = f"was denied ({_DENY_REASONS[answer]})"
            about = causes.WORDS[Cause.DENIED] if answer == _DENIED else _DENY_REASONS[answer]
            data = {**_data(visitor), "about": about}
            self._intent.happened("denied", _describe(visitor, outcome), **data)
            self._messages.to_host(f"{visitor.guest} {outcome}")
        else:
            self._intent.happened(
                "withdrew", _describe(visitor, "does not wait any more"), **_data(visitor)
            )
        if login := self._roster.logins.get(visitor.pid):
            login.deny(self._clock())
        self._changed()


def _describe(visitor: Visitor, event: str) -> str:
    return f"{visitor.guest} {event}: {visitor.fingerprint} from {visitor.peer}"


def _data(visitor: Visitor) -> dict[str, Any]:
    return asdict(
        Joined(visitor.invitation, visitor.guest, visitor.peer, visitor.fingerprint, visitor.pid)
    )


def _how_to_answer(visitor: Visitor) -> Forms:
    name = visitor.guest.removeprefix("github:")
    approve = shell("pairctl", "approve", visitor.guest)
    return (
        f"{visitor.guest} waits: {approve}, or deny",
        f"{name} waits: {approve}",
        f"{name} waits: {shell('pairctl', 'approve', name)}",
    )
