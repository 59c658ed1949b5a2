"""Short messages on the terminals in the shared session."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection

from pairingd.core.news import Forms, for_host
from pairingd.errors import WorldError
from pairingd.reconcile.access.confinement import Confinement
from pairingd.reconcile.access.local_time import localized
from pairingd.reconcile.access.statusline import StatusLine
from pairingd.reconcile.aside import Aside
from pairingd.world.tmux import Tmux

log = logging.getLogger(__name__)

_HOST_MESSAGE_S = 6.0
_GUEST_MESSAGE_S = 12.0


class Messages:
    """Shows messages to the host on all of their terminals, and to a guest on theirs.

    It uses the status line, because a terminal stands still while tmux shows a message, which is
    gone before a long one is read; it uses a tmux message only if there is no status line. It sends
    them one by one, so many guests at once do not start many tmux clients. `connections` has the
    present ones: a terminal that came through one of them is not the host's.
    """

    def __init__(
        self,
        tmux: Tmux,
        confinement: Confinement,
        line: StatusLine,
        connections: Collection[int],
        clock: Callable[[], float],
        aside: Aside,
    ) -> None:
        self._tmux = tmux
        self._confinement = confinement
        self._line = line
        self._connections = connections
        self._clock = clock
        self._unsent: deque[str] = deque()
        self._aside = aside

    def to_host(self, text: str) -> None:
        """Show it on the host's terminals, not on the guests'."""
        self._unsent.append(localized(text, self._clock()))
        if not self._aside.runs("to host"):
            self._aside.run(self._send_all(), "to host")

    def ask_host(self, key: object, forms: Forms, *, by_message: bool = True) -> None:
        """Show it on all of the host's terminals until `is_answered(key)`; without a status line
        only as `to_host`, or not at all.
        """
        self._line.ask(key, forms)
        self._aside.run(self._ask(forms, by_message=by_message))

    def is_answered(self, key: object) -> None:
        """The host has answered, or need not any more."""
        self._line.is_answered(key)

    def to_guest(self, connection: int, forms: Forms) -> bool:
        """Show it to one guest, in the place of an earlier one. Returns whether they have a
        terminal.
        """
        names = [
            name
            for name, owner in self._confinement.clients.items()
            if owner.connection == connection
        ]
        if names:
            self._aside.run(self._send(names, forms, _GUEST_MESSAGE_S))
        return bool(names)

    async def _send_all(self) -> None:
        while self._unsent:
            text = self._unsent.popleft()
            if hosts := await self._confinement.hosts(self._connections):
                await self._send(hosts, (text,), _HOST_MESSAGE_S, for_host(text))

    async def _ask(self, forms: Forms, *, by_message: bool) -> None:
        if not await self._line.write() and by_message:
            hosts = await self._confinement.hosts(self._connections)
            await self._tell(hosts, for_host(forms[0]))

    async def _send(
        self, clients: list[str], forms: Forms, seconds: float, whole: str = ""
    ) -> None:
        """`whole` is what a tmux message shows in the place of the longest form."""
        if not await self._line.announce(clients, forms, seconds):
            await self._tell(clients, whole or forms[0])

    async def _tell(self, clients: list[str], text: str) -> None:
        try:
            for client in clients:
                await self._tmux.tell(client, text)
        except WorldError:
            log.debug("not sent to %s: %s", clients, text)
