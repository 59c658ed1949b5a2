"""The status line of the shared session: who is in, and what has just happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec import Struct

from pairingd.core import plan
from pairingd.core.model import Invitation, State
from pairingd.core.news import Forms, news
from pairingd.core.statusline import Entry, lines, rank
from pairingd.errors import WorldError
from pairingd.process.listeners import may_exist
from pairingd.reconcile.access.confinement import Confinement
from pairingd.reconcile.access.login import Login
from pairingd.world.tmux import Owner, Running, StatusRight, Tmux

log = logging.getLogger(__name__)

_EMPTY = lines(())
_MAX_SHOWN = 50  # guests: no line has room for more, and there may be a thousand


class _Notice(Struct, eq=False):
    """`owner` is the guest for whom it is, None for the host: names of terminals are reused."""

    forms: Forms
    owner: Owner | None


class StatusLine:
    """Writes it only when its text changes: with an event, or with a guest's minutes left.

    The lane's passes come at least every 15 s while somebody is invited; nothing else wakes it. It
    calls `changed` when there is less to show: news have had their time, a question is answered.
    """

    def __init__(self, tmux: Tmux, confinement: Confinement, changed: Callable[[], None]) -> None:
        self._tmux = tmux
        self._confinement = confinement
        self._changed = changed
        self._lines = _EMPTY
        self._news: dict[str, list[_Notice]] = {}  # by the name of a client, the newest first
        self._questions: dict[object, Forms] = {}
        self._right: StatusRight | None = None
        self._closed = False
        self.given_back = False  # nothing of ours or of an earlier daemon is there
        self._lock = asyncio.Lock()

    async def show(self, state: State, logins: Collection[Login], now: float) -> None:
        """Update it. Raises nothing: a failure of the status line must not keep a guest in."""
        inside = {login.invitation for login in logins if login.attached}
        opened = plan.opened(state, now)
        shown = sorted(
            opened,
            key=lambda invitation: rank(invitation.deadline - now, inside=invitation.id in inside),
        )[:_MAX_SHOWN]
        entries = self._entries(shown, logins, now)
        self._lines = lines(entries, len(opened) - len(shown))
        await self.write()

    async def announce(self, clients: Iterable[str], forms: Forms, seconds: float) -> bool:
        """Show a message to these clients for `seconds`, to a guest in the place of an earlier one.
        Returns whether they have a status line.
        """
        owners = self._confinement.clients
        notices = {name: _Notice(forms, owners.get(name)) for name in clients}
        for name, notice in notices.items():
            earlier = [] if notice.owner else self._news.get(name, [])
            self._news[name] = [notice, *earlier]
        asyncio.get_running_loop().call_later(seconds, self._take_back, notices)
        return await self.write()

    def ask(self, key: object, forms: Forms) -> None:
        """Have each `write` show a question to the host until `is_answered(key)`."""
        self._questions[key] = forms

    def is_answered(self, key: object) -> None:
        """Unless it was not asked here."""
        if self._questions.pop(key, None):
            self._changed()

    async def give_back(self, *, at_once: bool) -> None:
        """Restore the user's own line. News of the end are shown for their time, unless `at_once`:
        then it shows nothing any more.
        """
        self._lines = _EMPTY
        if at_once:
            self._closed = True
            self._news.clear()
        if self._news:
            await self.write()
        elif not self.given_back:
            await self._give_back()

    def _take_back(self, notices: Mapping[str, _Notice]) -> None:
        for name, notice in notices.items():
            left = [other for other in self._news.get(name, ()) if other is not notice]
            self._news[name] = left
        self._news = {name: left for name, left in self._news.items() if left}
        self._changed()

    def _shown_news(self) -> str:
        owners = self._confinement.clients
        hosts, guests = {}, {}
        for name, notices in self._news.items():
            current = [notice.forms for notice in notices if notice.owner == owners.get(name)]
            if current and name in owners:
                guests[name] = current[0]
            elif current:
                hosts[name] = current
        return news(hosts, guests, [*self._questions.values()])

    def _entries(
        self, shown: Iterable[Invitation], logins: Collection[Login], now: float
    ) -> Iterable[Entry]:
        attached = [login for login in logins if login.attached]
        inside = {login.invitation for login in attached}
        typed = {login.invitation for login in attached if login.pid == self._confinement.typist}
        for invitation in shown:
            yield Entry(
                invitation.guest,
                invitation.access,
                invitation.deadline - now,
                inside=invitation.id in inside,
                typed=invitation.id in typed,
            )

    async def write(self) -> bool:
        """Show the present text. Returns whether the session has a status line."""
        async with self._lock:
            if self._closed:
                return False
            if self._right is None or self._right.target != self._tmux.target:
                self._right = self._tmux.status_right()
            self.given_back = False
            try:
                return await self._right.extend(self._lines, self._shown_news())
            except WorldError as failure:
                log.debug("no status line: %s", failure)
                return False

    async def _give_back(self) -> None:
        """If tmux does not answer, the next pass tries again."""
        async with self._lock:
            try:
                gone = not may_exist(str(self._tmux.socket))
                running = Running.NO if gone else await self._tmux.running()
                if running is Running.YES:
                    await self._tmux.status_right().give_back()
                self.given_back = running is not Running.UNKNOWN
            except WorldError as failure:
                log.debug("the status line is not given back: %s", failure)
            self._right = None
