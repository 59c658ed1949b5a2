"""The home router, whatever it speaks: find it, hold one mapping, give it back.

Nothing is asked of a router before the journal knows of it, and nothing is forgotten before it is
seen to be gone. It speaks the protocols of pairingd/gateways.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Collection, Sequence
from collections.abc import Mapping as Table
from dataclasses import dataclass

from pairingd import config, gateways
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world.gateway.adapter import (
    Adapter,
    Journal,
    Searcher,
    Sweeper,
    Tools,
    mapping_adapters,
)
from pairingd.world.gateway.keeper import Keeper
from pairingd.world.gateway.pxp.datagrams import Datagrams
from pairingd.world.gateway.refusals import (
    PORT_MATTERS,
    most_telling,
    no_gateway,
    search_unwanted,
    silently_replaced,
)

_PROBE_HOLDS = 600.0
_DYNAMIC_PORTS = range(49152, 65536)  # RFC 6335 §6


def high_port(network: Network) -> int:
    """The port to request when the first choice is taken: always the same for this host here."""
    name = f"{network.address}/{network.gateway}/{network.gateway_mac}".encode()
    number = int.from_bytes(hashlib.sha256(name).digest()[:4])
    return _DYNAMIC_PORTS[number % len(_DYNAMIC_PORTS)]


@dataclass(frozen=True, slots=True)
class _Probe:
    """Which protocols answer in one network: of each its refusal, or None for a good answer."""

    identity: str
    at: float
    answers: Table[str, asyncio.Task[GatewayError | None]]

    def holds(self, network: Network, now: float) -> bool:
        if self.identity != network.identity or not 0 <= now - self.at < _PROBE_HOLDS:
            return False
        return any(not task.done() or _is_good(task) for task in self.answers.values())


class Router(Keeper):
    """`clock` is the wall clock; `token` makes the secret that identifies our mappings."""

    def __init__(
        self,
        settings: config.Router,
        journal: Journal,
        clock: Callable[[], float],
        *,
        adapters: Sequence[Adapter] | None = None,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
        high_port: Callable[[Network], int] = high_port,
    ) -> None:
        tools = Tools(settings, clock, Datagrams())
        known = mapping_adapters(tools) if adapters is None else adapters
        super().__init__(settings, journal, known, token)
        self._clock = clock
        self._high_port = high_port
        self._protocols = settings.spoken
        self._probe: _Probe | None = None

    async def probe(self, network: Network) -> None:
        """Find out what this network's router speaks; a good answer is kept for ten minutes.

        Never raises GatewayError: `open` does.
        """
        answers = self._probing(network).answers
        if answers:
            await asyncio.wait(answers.values())

    async def open(
        self,
        network: Network,
        *,
        internal_port: int,
        external_port: int,
        but: Collection[str] = (),
    ) -> Mapping:
        """A new mapping to this host's `internal_port`, of `external_port` or else a high port.

        By any protocol `but` those. Raises GatewayError with the most telling refusal of all that
        were met.
        """
        probing = self._probing(network).answers.items()
        answers = {protocol: answer for protocol, answer in probing if protocol not in but}
        ports = self._ports(network, external_port)
        refusals: list[GatewayError] = []
        for port in ports:  # may grow while it is walked
            for protocol, answer in list(answers.items()):
                if protocol not in answers:
                    continue
                refusal = await asyncio.shield(answer)
                if refusal is None:
                    for other in gateways.named(protocol).speaks_for:
                        answers.pop(other, None)
                    last = port == ports[-1]
                    try:
                        return await self._open(protocol, network, internal_port, port, last)
                    except GatewayError as error:
                        refusal = error
                refusals.append(refusal)
                if refusal.code not in PORT_MATTERS:
                    answers.pop(protocol, None)
                elif refusal.code == "same-port-only" and internal_port not in ports:
                    ports.append(internal_port)
        if not answers:
            self._probe = None
        raise most_telling(refusals)

    async def sweep(self, network: Network, keep: Collection[int]) -> int:
        """Remove mappings of earlier daemons that the journal knows nothing of; how many."""
        swept = 0
        for adapter in self._adapters.values():
            answer = self._probing(network).answers.get(adapter.protocol)
            if isinstance(adapter, Sweeper) and answer and await asyncio.shield(answer) is None:
                swept += await adapter.sweep(network, keep)
        return swept

    async def told(self, network: Network, locations: Sequence[str]) -> None:
        """Where somebody else's search has found gateways that describe themselves.

        Raises GatewayError `search-unwanted` where nothing here needs one, or else as the adapter
        does; then nothing has changed.
        """
        spoken = [self._adapters[name] for name in self._protocols if name in self._adapters]
        searchers = [adapter for adapter in spoken if isinstance(adapter, Searcher)]
        if not searchers:
            raise search_unwanted()
        for adapter in searchers:
            await adapter.told(network, locations)
        self._probe = None  # what was found out before that holds no longer

    def _ports(self, network: Network, wanted: int) -> list[int]:
        if self._settings.command.open:  # a program of the user's own chooses by itself
            return [wanted]
        return list(dict.fromkeys((wanted, self._high_port(network))))

    def _probing(self, network: Network) -> _Probe:
        now = self._clock()
        if self._probe is None or not self._probe.holds(network, now):
            tasks: dict[str, asyncio.Task[GatewayError | None]] = {
                protocol: asyncio.create_task(_answer(self._adapters[protocol], network))
                for protocol in self._protocols
                if protocol in self._adapters
            }
            self._probe = _Probe(network.identity, now, tasks)
        return self._probe

    async def _open(
        self,
        protocol: str,
        network: Network,
        internal_port: int,
        port: int,
        last: bool,  # noqa: FBT001 - private, one caller
    ) -> Mapping:
        granted = await self._attempt(protocol, network, internal_port, port)
        if granted.external_port != port and not last:
            await self.close(granted)
            raise silently_replaced(port)
        return granted


async def _answer(adapter: Adapter, network: Network) -> GatewayError | None:
    try:
        found = await adapter.probe(network)
    except GatewayError as error:
        return error
    return None if found else no_gateway()


def _is_good(answer: asyncio.Task[GatewayError | None]) -> bool:
    return not answer.cancelled() and answer.exception() is None and answer.result() is None
