"""Short messages on the terminals in the shared session."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection

from pairingd.core.statusline import NEWS_COLUMNS
from pairingd.errors import WorldError
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.confinement import Confinement
from pairingd.reconcile.statusline import StatusLine
from pairingd.world.tmux import Tmux

log = logging.getLogger(__name__)

_HOST_MESSAGE_S = 6.0
_GUEST_MESSAGE_S = 12.0


class Messages:
    """Shows messages to the host on all of their terminals, and to a guest on theirs.

    It uses the status line, because a terminal stands still while tmux shows a message; it uses a
    tmux message only if there is no status line, or the text does not fit there. It sends them one
    by one, so many guests at once do not start many tmux clients. `connections` has the present
    ones: a terminal that came through one of them is not the host's.
    """

    def __init__(
        self, tmux: Tmux, confinement: Confinement, line: StatusLine, connections: Collection[int]
    ) -> None:
        self._tmux = tmux
        self._confinement = confinement
        self._line = line
        self._connections = connections
        self._unsent: deque[str] = deque()
        self._aside = Aside()

    def to_host(self, text: str) -> None:
        """Show it on the host's terminals, not on the guests'."""
        self._unsent.append(text)
        if not self._aside.runs("to host"):
            self._aside.run(self._send_all(), "to host")

    def to_guest(self, connection: int, text: str) -> bool:
        """Show it to one guest. Returns whether they have a terminal."""
        names = [
            name
            for name, owner in self._confinement.clients.items()
            if owner.connection == connection
        ]
        if names:
            self._aside.run(self._send(names, text, _GUEST_MESSAGE_S))
        return bool(names)

    async def rest(self) -> None:
        """Wait until all are sent."""
        await self._aside.rest()

    async def _send_all(self) -> None:
        while self._unsent:
            text = f"pairing: {self._unsent.popleft()}"
            try:
                hosts = await self._confinement.hosts(self._connections)
            except WorldError:
                log.debug("not sent to the host: %s", text)
            else:
                await self._send([client.name for client in hosts], text, _HOST_MESSAGE_S)

    async def _send(self, clients: list[str], text: str, seconds: float) -> None:
        if not clients:
            return
        if len(text) <= NEWS_COLUMNS["wide"] and await self._line.announce(clients, text, seconds):
            return
        try:
            for client in clients:
                await self._tmux.tell(client, text)
        except WorldError:
            log.debug("not sent to %s: %s", clients, text)
