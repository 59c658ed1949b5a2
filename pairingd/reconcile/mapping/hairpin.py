"""Looks at a mapping's endpoint from here. Some routers connect us to our own door (hairpin).

Many do not, so a failed look proves nothing by itself: `core.holding` judges the result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pairingd.core.holding_events import Outside
from pairingd.core.model import Mapping
from pairingd.errors import PairingError
from pairingd.world.keyscan import Sight

log = logging.getLogger(__name__)

# At a host and port. The third is the gateway, which may have a server of its own there.
Look = Callable[[str, int, str], Awaitable[Sight]]

_OUTSIDE = {
    Sight.OUR_DOOR: Outside.OUR_DOOR,
    Sight.ANOTHER_SERVER: Outside.ANOTHER_SERVER,
    Sight.NOBODY: Outside.NOBODY,
}


class Hairpin:
    """`look` returns what answers at a host and port, apart from the router's own server; None:
    never look. Calls `report` with the mapping and the result.
    """

    def __init__(
        self,
        look: Look | None,
        report: Callable[[Mapping, Outside], None],
    ) -> None:
        self._look = look
        self._report = report
        self._looking: asyncio.Task[None] | None = None

    def seek(self, held: Mapping) -> None:
        """Look in the background. A look at the same endpoint goes on, another one is cancelled."""
        if self._look is None:
            return
        endpoint = f"{held.id} {held.external_host} {held.external_port}"
        if self._looking and not self._looking.done():
            if self._looking.get_name() == endpoint:
                return  # else no look would end before a short lease is renewed
            self._looking.cancel()
        self._looking = asyncio.create_task(self._seek(self._look, held), name=endpoint)

    async def _seek(self, look: Look, held: Mapping) -> None:
        try:
            sight = await look(held.external_host, held.external_port, held.gateway)
        except PairingError as error:
            log.debug("not seen from outside: %s", error)
            return
        if sight is not Sight.UNSURE:
            self._report(held, _OUTSIDE[sight])
