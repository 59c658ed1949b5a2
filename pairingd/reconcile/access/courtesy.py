"""What a guest reads on entry, at a change, and at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pairingd.core import notices
from pairingd.core.model import Access
from pairingd.core.news import Forms
from pairingd.core.notices import Again, Terms
from pairingd.errors import Misconfigured, WorldError
from pairingd.machine.user import user_name
from pairingd.reconcile.access.entrance import Entrance
from pairingd.reconcile.access.local_time import clock_time
from pairingd.reconcile.access.login import Login
from pairingd.reconcile.access.messages import Messages
from pairingd.reconcile.access.wishes import Wishes
from pairingd.state.intent import Intent
from pairingd.state.live import mark_prefix
from pairingd.world.tmux import Tmux

# A slow disk must not keep guests in: it gets 0.1 s. A busy machine may not run this process for
# longer than that at a time, which counts as one look.
_DISK_LOOKS = 10
_DISK_LOOK_S = 0.01
_FAREWELL = ".farewell."  # between the mark and the pid of the forced command that reads it


class Courtesy:
    """`entrance` has the directory of the marks, where farewell.sh finds the text to print."""

    def __init__(
        self,
        tmux: Tmux,
        messages: Messages,
        intent: Intent,
        entrance: Entrance,
        clock: Callable[[], float],
        wishes: Wishes,
    ) -> None:
        self._intent = intent
        self._tmux = tmux
        self._messages = messages
        self._entrance = entrance
        self._clock = clock
        self._wishes = wishes
        self._known: dict[int, Terms] = {}  # by connection
        self._dialed: dict[int, Path] = {}  # by connection, what they read when they leave
        for file in entrance.live.glob(f"*{_FAREWELL}*"):  # left by a killed daemon
            file.unlink(missing_ok=True)

    async def notify(self, logins: Collection[Login]) -> None:
        """Send each guest who is in what they do not know yet."""
        now = self._clock()
        live = {invitation.id: invitation for invitation in self._intent.state.live}
        connected = {login.pid: login for login in logins}
        self._known = {pid: terms for pid, terms in self._known.items() if pid in connected}
        self._forget(self._dialed.keys() - connected.keys())
        for login in connected.values():
            invitation = live.get(login.invitation or "")
            if invitation is None or not login.attached:
                continue
            terms, known = Terms.of(invitation, now), self._known.get(login.pid)
            forms: Forms = ()
            if terms != known:
                leave = await self._keys_that_leave(invitation.access)
                until = clock_time(invitation.deadline, now)
                again = Again.of(invitation, dialed=bool(login.dialed))
                forms = notices.news(known, terms, _host(), until, leave, again)
                if again is Again.NEW_COMMAND and login.pid not in self._dialed:
                    file = self._dialed[login.pid] = self._file(login)
                    await _write_in_time({file: f"again with a new command from {_host()}"})
            if not forms or self._messages.to_guest(login.pid, forms):
                self._known[login.pid] = terms

    async def bid_farewell(self, logins: Collection[Login]) -> None:
        """Have their forced commands print why it ends; less if the disk is slow."""
        texts = {self._file(login): self.farewell(login) for login in logins if login.command}
        if texts:
            await _write_in_time(texts)

    def forget(self, logins: Collection[Login]) -> None:
        """Remove the texts of guests who are out."""
        for login in logins:
            if login.command:
                with contextlib.suppress(OSError):
                    self._file(login).unlink(missing_ok=True)

    def farewell(self, login: Login) -> str:
        """Return why pairing cuts this connection, for its guest."""
        now = self._clock()
        invitation = self._intent.state.invitation(login.invitation)
        until = clock_time(invitation.deadline, now) if invitation else ""
        if self._wishes.stopping and invitation and invitation.is_open(now):
            again = Again.of(invitation, dialed=bool(login.dialed))
            return notices.stopped(_host(), until, again)
        return notices.farewell(invitation, now, _host(), until)

    def _forget(self, pids: Collection[int]) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                self._dialed.pop(pid).unlink(missing_ok=True)

    def _file(self, login: Login) -> Path:
        mark = mark_prefix(login.invitation or "")
        return self._entrance.live / f"{mark}{_FAREWELL}{login.command}"

    async def _keys_that_leave(self, access: Access) -> str:
        if access is Access.READ:
            return "Ctrl-C"
        keys = ""
        with contextlib.suppress(WorldError):
            keys = await self._tmux.keys_that_detach()
        return keys or "closing the terminal"


async def _write_in_time(texts: Mapping[Path, str]) -> None:
    writing = asyncio.create_task(asyncio.to_thread(_write, texts))
    for _ in range(_DISK_LOOKS):
        done, _ = await asyncio.wait({writing}, timeout=_DISK_LOOK_S)
        if done:
            return


def _write(texts: Mapping[Path, str]) -> None:
    """Write nothing if the disk is full."""
    for file, text in texts.items():
        with contextlib.suppress(OSError):
            file.touch()
            file.chmod(0o640)  # an account reads it, by its group; the directory bars others
            file.write_text(f"{text}\n")


def _host() -> str:
    try:
        return user_name()
    except Misconfigured:  # then nobody can log in
        return "the host"
