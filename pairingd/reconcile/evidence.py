"""What speaks for a way in beyond the router's word: a guest who came, our own door seen there."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Literal

from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.model import Mapping
from pairingd.errors import PairingError
from pairingd.world.keyscan import Sight

log = logging.getLogger(__name__)

_Way = tuple[str, str, int]  # a mapping's id, and its host and port outside, which may change


class Evidence:
    """`look` says what is seen at a host and port outside; None: that is not to be tried.

    `poke` is called where a mapping was found mute: see `is_mute`.
    """

    def __init__(
        self, look: Callable[[str, int], Awaitable[Sight]] | None, poke: Callable[[], None]
    ) -> None:
        self._look = look
        self._poke = poke
        self._proven: _Way | None = None
        self._mirrored: _Way | None = None
        self._turns_around: str | None = None  # the network whose router showed us our own door
        self._mute: set[str] = set()  # ids of mappings
        self._looking: asyncio.Task[None] | None = None

    def of(self, held: Mapping) -> Literal["guest", "hairpin"] | None:
        """What was seen of its present host and port."""
        if _way(held) == self._proven:
            return "guest"
        return "hairpin" if _way(held) == self._mirrored else None

    def guest_came_from(self, peer: str, held: Mapping) -> None:
        """A login from the internet is the only proof that the way in works."""
        if external_class(peer) is ExternalClass.PUBLIC and _is_another(peer, held):
            self._proven = _way(held)

    def turns_us_around(self, network: str) -> bool:
        """Whether the router there has shown us our own door, so that it is seen if it does not."""
        return self._turns_around == network

    def seek(self, held: Mapping) -> None:
        """Knock at the door from outside, where the router turns us around (hairpin).

        Many do not, so a failure tells nothing, but where this router did before. Never at what a
        router on loopback calls its address: that is a demonstration's.
        """
        if self._looking and not self._looking.done():
            if self._looking.get_name() == str(_way(held)):
                return  # a short lease would never let a look come to its end
            self._looking.cancel()
        gateway, host = ipaddress.ip_address(held.gateway), held.external_host
        if self._look is None or gateway.is_loopback:
            return
        if external_class(host) is ExternalClass.PUBLIC:
            self._looking = asyncio.create_task(self._seek(self._look, held), name=str(_way(held)))

    async def _seek(self, look: Callable[[str, int], Awaitable[Sight]], held: Mapping) -> None:
        try:
            sight = await look(held.external_host, held.external_port)
        except PairingError as error:
            log.debug("not seen from outside: %s", error)
            return
        if sight is Sight.OUR_DOOR:
            self._mirrored, self._turns_around = _way(held), held.network
        elif sight is Sight.NOBODY and self.turns_us_around(held.network):
            self._mute.add(held.id)
            self._poke()

    def is_mute(self, held: Mapping) -> bool:
        """Whether nobody answers behind it, where the router has shown us our own door before.

        Some routers list a mapping and renew it, and forward nothing until it is made anew.
        """
        return held.id in self._mute

    def made_anew(self, held: Mapping) -> None:
        """Once is enough, until the router has shown us our own door again."""
        self._mute.discard(held.id)
        self._turns_around = self._mirrored = None


def _way(held: Mapping) -> _Way:
    return held.id, held.external_host, held.external_port


def _is_another(peer: str, held: Mapping) -> bool:
    """Whether `peer` came through `held`: by its family, and not from its own network.

    From there a router may turn guests around in its own name (hairpin).
    """
    theirs, ours = ipaddress.ip_address(peer), ipaddress.ip_address(held.internal_host)
    if theirs.version != ours.version or peer == held.external_host:
        return False
    return theirs.version == 4 or theirs.packed[:8] != ours.packed[:8]
