"""Counts the connections to the door over the internet, refused or not."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address

from pairingd.core.addresses import is_outsider
from pairingd.core.ways import Place
from pairingd.machine import interfaces
from pairingd.signals import Signals

_MAX_PEERS = 1024  # that are counted separately


class Arrivals:
    def __init__(self, signals: Signals) -> None:
        self._times: Counter[str] = Counter()  # by address
        self._uncounted = 0  # from addresses beyond _MAX_PEERS
        signals.stranger_came.connect(self._note)

    async def count(self, own_places: Iterable[Place]) -> int:
        """All but those from our own network, whose endpoints and addresses are `own_places`."""
        own_addresses = [address for place in own_places for address in await addresses(*place)]
        outside = outsiders(self._times, own_addresses)
        return self._uncounted + sum(self._times[peer] for peer in outside)

    def _note(self, peer: str) -> None:
        if peer in self._times or len(self._times) < _MAX_PEERS:
            self._times[peer] += 1
        else:
            self._uncounted += 1


async def addresses(host: str, port: int) -> list[str]:
    """An address itself; for a name, what it resolves to here."""
    with suppress(OSError):
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [str(info[4][0]) for info in infos]
    return []


def outsiders(peers: Iterable[str], own_addresses: list[str]) -> list[str]:
    """Those of `peers` who came over the internet to us at `own_addresses`, of which one must have
    their address family.
    """
    networks = interfaces.networks()  # once: there may be many peers

    def is_outside(peer: str, address: str) -> bool:
        on_link = address in networks and ip_address(peer) in networks[address]
        return is_outsider(peer, address, address) and not on_link

    outside = []
    for peer in peers:
        same_family = [address for address in own_addresses if (":" in address) == (":" in peer)]
        if same_family and all(is_outside(peer, address) for address in same_family):
            outside.append(peer)
    return outside
