"""The status line of the shared session: who is in, and what has just happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable

from pairingd.core import plan
from pairingd.core.model import Invitation, State
from pairingd.core.statusline import Entry, lines, news
from pairingd.errors import WorldError
from pairingd.reconcile.confinement import Confinement
from pairingd.reconcile.login import Login
from pairingd.world.tmux import Running, StatusRight, Tmux

log = logging.getLogger(__name__)

_EMPTY = lines(())
_MAX_SHOWN = 50  # guests: no line has room for more, and there may be a thousand


class StatusLine:
    """Writes it only when its text changes: with an event, or with a guest's minutes left.

    The lane's passes come at least every 15 s while somebody is invited; nothing else wakes it. It
    calls `expired` when news have been shown for their time.
    """

    def __init__(self, tmux: Tmux, confinement: Confinement, expired: Callable[[], None]) -> None:
        self._tmux = tmux
        self._confinement = confinement
        self._expired = expired
        self._lines = _EMPTY
        self._news: dict[str, list[str]] = {}  # by the name of a client, the newest first
        self._right: StatusRight | None = None
        self._closed = False
        self.given_back = False  # nothing of ours or of an earlier daemon is there
        self._lock = asyncio.Lock()

    async def show(self, state: State, logins: Collection[Login], now: float) -> None:
        """Update it. Raises nothing: a failure of the status line must not keep a guest in."""
        inside = {login.invitation for login in logins if login.attached}
        opened = plan.opened(state, now)
        shown = sorted(opened, key=lambda invitation: invitation.id not in inside)[:_MAX_SHOWN]
        entries = self._entries(shown, logins, now)
        self._lines = lines(entries, len(opened) - len(shown))
        await self._write()

    async def announce(self, clients: Iterable[str], text: str, seconds: float) -> bool:
        """Show `text` to these clients for `seconds`. Returns whether they have a status line."""
        names = list(clients)
        for name in names:
            self._news.setdefault(name, []).insert(0, text)
        asyncio.get_running_loop().call_later(seconds, self._take_back, names, text)
        return await self._write()

    async def give_back(self, *, at_once: bool) -> None:
        """Restore the user's own line. News of the end are shown for their time, unless `at_once`:
        then it shows nothing any more.
        """
        self._lines = _EMPTY
        if at_once:
            self._closed = True
            self._news.clear()
        if self._news:
            await self._write()
        elif not self.given_back:
            await self._give_back()

    def _take_back(self, names: Iterable[str], text: str) -> None:
        for name in names:
            texts = self._news.get(name, [])
            if text in texts:
                texts.remove(text)
            if not texts:
                self._news.pop(name, None)
        self._expired()

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

    async def _write(self) -> bool:
        async with self._lock:
            if self._closed:
                return False
            if self._right is None or self._right.target != self._tmux.target:
                self._right = self._tmux.status_right()
            self.given_back = False
            try:
                return await self._right.extend(self._lines, news(self._news))
            except WorldError as failure:
                log.debug("no status line: %s", failure)
                return False

    async def _give_back(self) -> None:
        """If tmux does not answer, the next pass tries again."""
        async with self._lock:
            try:
                gone = not self._tmux.socket.exists()
                running = Running.NO if gone else await self._tmux.running()
                if running is Running.YES:
                    await self._tmux.status_right().give_back()
                self.given_back = running is not Running.UNKNOWN
            except WorldError as failure:
                log.debug("the status line is not given back: %s", failure)
            self._right = None
