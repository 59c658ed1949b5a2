"""Short messages on the terminals in the shared session."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection

from pairingd.errors import WorldError
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.confinement import Confinement
from pairingd.world.tmux import Tmux

log = logging.getLogger(__name__)

HOW_TO_LEAVE = "read-only: what you type is not sent; Ctrl-C leaves"
_GREETING_S = 2.0


class Messages:
    """To the host on all of their terminals, and to a read guest on theirs.

    One after the other: a crowd that comes at once starts no crowd of tmux clients. `connections`
    are those that there are at any time: what came through one of them is not the host's.
    """

    def __init__(self, tmux: Tmux, confinement: Confinement, connections: Collection[int]) -> None:
        self._tmux = tmux
        self._confinement = confinement
        self._connections = connections
        self._unsent: deque[str] = deque()
        self._aside = Aside()

    def to_host(self, text: str) -> None:
        """Not to the guests' terminals."""
        self._unsent.append(text)
        if len(self._unsent) == 1:
            self._aside.run(self._send_all())

    def to_read_guest(self, connection: int) -> None:
        """How to leave. A terminal stands still meanwhile, which only matters to who types."""
        for name, owner in self._confinement.clients.items():
            if owner.connection == connection:
                self._aside.run(self._send(name, HOW_TO_LEAVE, _GREETING_S))

    async def rest(self) -> None:
        """Wait until all are sent."""
        await self._aside.rest()

    async def _send_all(self) -> None:
        while self._unsent:
            try:
                for client in await self._confinement.hosts(self._connections):
                    await self._tmux.tell(client.name, f"pairing: {self._unsent[0]}")
            except WorldError:
                log.debug("not sent to the host: %s", self._unsent[0])
            self._unsent.popleft()

    async def _send(self, client: str, text: str, seconds: float) -> None:
        try:
            await self._tmux.tell(client, f"pairing: {text}", seconds)
        except WorldError:
            log.debug("not sent to %s: %s", client, text)
