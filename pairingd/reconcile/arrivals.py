"""Who has connected to the door over the internet, whatever became of it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from pairingd.core.addresses import is_outsider
from pairingd.core.ways import Place
from pairingd.signals import Signals

_MAX_PEERS = 1024  # that are told apart


class Arrivals:
    def __init__(self, signals: Signals) -> None:
        self._times: Counter[str] = Counter()  # by address
        self._uncounted = 0  # from addresses beyond _MAX_PEERS
        signals.stranger_came.connect(self._note)

    async def count(self, ours: Iterable[Place]) -> int:
        """But for those from our own network, whose endpoints and own addresses are `ours`."""
        own = [address for place in ours for address in await addresses(*place)]
        return self._uncounted + sum(
            times for peer, times in self._times.items() if is_outside(peer, own)
        )

    def _note(self, peer: str) -> None:
        if peer in self._times or len(self._times) < _MAX_PEERS:
            self._times[peer] += 1
        else:
            self._uncounted += 1


async def addresses(host: str, port: int) -> list[str]:
    """Of an address itself; of a name those that it has here."""
    with suppress(OSError):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [str(one[4][0]) for one in found]
    return []


def is_outside(peer: str, own: list[str]) -> bool:
    """Whether `peer` has come over the internet to us at `own`. Of a family that none of those has,
    nothing is known.
    """
    alike = [one for one in own if (":" in one) == (":" in peer)]
    return bool(alike) and all(is_outsider(peer, one, one) for one in alike)
