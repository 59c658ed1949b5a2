"""The home router, by any protocol: find it, hold one mapping, give it back.

The journal has a mapping before pairingd asks a router for it, and keeps it until it is seen to be
gone. The protocols are those of pairingd/gateways.py.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Sequence
from collections.abc import Mapping as Table

from msgspec import Struct

from pairingd import gateways
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.ports import DYNAMIC_PORTS, dynamic_port
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.adapter import (
    Adapter,
    MacOf,
    Searcher,
    Sweeper,
    Tools,
    Verdicts,
    mapping_adapters,
    unknown_mac,
)
from pairingd.world.gateway.keeper import Keeper, secret
from pairingd.world.gateway.listeners import listens
from pairingd.world.gateway.pxp.datagrams import Datagrams
from pairingd.world.gateway.refusals import (
    PORT_MATTERS,
    lied_before,
    most_telling,
    no_gateway,
    occupied,
    search_unwanted,
    silently_replaced,
)

_PROBE_VALID_S = 600.0
_MAX_PORTS = 6  # requested of a router in one go


def high_port(network: Network) -> int:
    """The port to request when the first choice is taken: always the same for this host here."""
    return dynamic_port(f"{network.address}/{network.gateway}/{network.gateway_mac}")


def _next(port: int) -> int:
    return DYNAMIC_PORTS[(port + 1 - DYNAMIC_PORTS.start) % len(DYNAMIC_PORTS)]


class _Probe(Struct, frozen=True):
    """Which protocols answer in one network: each one's refusal, or None for a good answer."""

    identity: str
    at: float
    answers: Table[str, asyncio.Task[GatewayError | None]]

    def holds(self, network: Network, now: float) -> bool:
        if self.identity != network.identity or not 0 <= now - self.at < _PROBE_VALID_S:
            return False
        return any(not task.done() or _is_good(task) for task in self.answers.values())


class Router(Keeper):
    """`clock` is the wall clock; `token` makes the secret that identifies our mappings."""

    def __init__(
        self,
        settings: config.Router,
        journal: Verdicts,
        clock: Callable[[], float],
        *,
        mac_of: MacOf = unknown_mac,
        adapters: Sequence[Adapter] | None = None,
        token: Callable[[], str] = secret,
        high_port: Callable[[Network], int] = high_port,
    ) -> None:
        tools = Tools(settings, clock, Datagrams(), mac_of)
        known = mapping_adapters(tools) if adapters is None else adapters
        super().__init__(settings, journal, known, token)
        self._verdicts = journal
        self._clock = clock
        self._high_port = high_port
        self._protocols = settings.spoken
        self._probe: _Probe | None = None
        self._providers: dict[str, GatewayError] = {}  # refusals, by the network's identity

    async def probe(self, network: Network) -> None:
        """Find out what this network's router speaks, and keep a good answer for 10 minutes.

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
        chosen: bool = False,
        but: Collection[str] = (),
    ) -> Mapping:
        """Open a mapping to this host's `internal_port`: of `external_port`, else of a high port,
        else, unless the host has `chosen` the port, of one that the router assigns.

        Uses any protocol except those in `but`. Raises GatewayError with the most telling refusal
        of all. Asks a provider's server once in each network.
        """
        if refused_before := self._providers.get(network.identity):
            raise refused_before
        try:
            return await self._open_any(network, internal_port, external_port, chosen, but)
        except GatewayError as refusal:
            if network.gateway in gateways.ANYCAST:
                self._providers[network.identity] = refusal
            raise

    async def _open_any(
        self,
        network: Network,
        internal_port: int,
        external_port: int,
        chosen: bool,  # noqa: FBT001 - as of `open`
        but: Collection[str],
    ) -> Mapping:
        if self._ignores_internal_ports(network) and external_port != internal_port:
            raise lied_before(network.gateway)
        probing = self._probing(network).answers.items()
        answers = {protocol: answer for protocol, answer in probing if protocol not in but}
        ports = self._ports(network, internal_port, external_port)
        refusals: list[GatewayError] = []
        for port in ports:  # may grow while it is walked
            if await self._exposes(network, internal_port, port):
                refused = [occupied(port)]
                if port == ports[-1] != external_port and len(ports) < _MAX_PORTS:
                    ports.append(_next(port))
            else:
                exact = chosen or port != ports[-1] or self._ignores_internal_ports(network)
                opened, refused = await self._by_any(
                    answers, network, internal_port, port, exact=exact
                )
                if opened:
                    return opened
                if internal_port not in ports and _wants_equal_ports(refused):
                    ports.append(internal_port)
            refusals += refused
        if not answers:
            self._probe = None
        raise most_telling(refusals)

    async def _by_any(
        self,
        answers: dict[str, asyncio.Task[GatewayError | None]],
        network: Network,
        internal_port: int,
        port: int,
        *,
        exact: bool,
    ) -> tuple[Mapping | None, list[GatewayError]]:
        """The mapping by the first protocol that gives the port, or else the refusals of all.
        Removes useless protocols from `answers`. Raises GatewayError if the router lies.
        """
        refusals = []
        for protocol in list(answers):
            if protocol not in answers:
                continue
            refusal = await asyncio.shield(answers[protocol])
            if refusal is None:
                for other in gateways.named(protocol).speaks_for:
                    answers.pop(other, None)
                try:
                    opened = await self._open(protocol, network, internal_port, port, exact=exact)
                except GatewayError as error:
                    refusal = error
                else:
                    return opened, []
            if refusal.lied:
                raise refusal
            refusals.append(refusal)
            if refusal.code not in PORT_MATTERS:
                answers.pop(protocol)
        return None, refusals

    async def renew(self, mapping: Mapping, *, exact: bool = False) -> Mapping:
        """As Keeper's. Also refuses a mapping that may lead to another server here by now, at the
        port that it has had or at another one that the router assigns.
        """
        port, door = mapping.external_port, mapping.internal_port
        if not gateways.named(mapping.protocol).chooses_port:
            if port != door and self._verdicts.honours(mapping.network) is False:
                raise lied_before(mapping.gateway)
            # A router on this machine listens at the external port itself.
            if not ipaddress.ip_address(mapping.gateway).is_loopback and await self._may_expose(
                mapping.network, mapping.internal_host, door, port
            ):
                raise occupied(port)
        try:
            renewed = await super().renew(mapping, exact=exact)
        except GatewayError as error:
            self._judge_lie(mapping.network, error)
            raise
        assigned = renewed.external_port
        if assigned == port or gateways.named(mapping.protocol).chooses_port:
            return renewed
        if await self._may_expose(mapping.network, mapping.internal_host, door, assigned):
            raise silently_replaced(port)
        return renewed

    async def sweep(self, network: Network, keep: Collection[int]) -> int:
        """Remove mappings of earlier daemons that the journal does not have; returns how many."""
        swept = 0
        for adapter in self._adapters.values():
            answer = self._probing(network).answers.get(adapter.protocol)
            if isinstance(adapter, Sweeper) and answer and await asyncio.shield(answer) is None:
                swept += await adapter.sweep(network, keep)
        return swept

    async def learn(self, network: Network, locations: Sequence[str]) -> None:
        """Use gateways' descriptions that another search found.

        Raises GatewayError `search-unwanted` if no protocol in use needs a search, or else as the
        adapter does; then nothing has changed.
        """
        spoken = [self._adapters[name] for name in self._protocols if name in self._adapters]
        searchers = [adapter for adapter in spoken if isinstance(adapter, Searcher)]
        if not searchers:
            raise search_unwanted()
        for adapter in searchers:
            await adapter.learn(network, locations)
        self._probe = None  # earlier answers are outdated

    def _ports(self, network: Network, internal_port: int, external_port: int) -> list[int]:
        if self._settings.command.open:  # the user's own program chooses the port
            return [external_port]
        if self._ignores_internal_ports(network):
            return [internal_port]
        # The first router gave us `internal_port`, so nobody else requests it of the second.
        equal = (internal_port,) if network.behind else ()
        return list(dict.fromkeys((external_port, *equal, self._high_port(network))))

    def _probing(self, network: Network) -> _Probe:
        now = self._clock()
        if self._probe is None or not self._probe.holds(network, now):
            tasks: dict[str, asyncio.Task[GatewayError | None]] = {}
            for protocol in self._protocols:
                adapter = self._adapters.get(protocol)
                anycast = gateways.named(protocol).anycast == network.gateway
                if adapter and (anycast or network.gateway not in gateways.ANYCAST):
                    spoken_for = [
                        task
                        for other, task in tasks.items()
                        if protocol in gateways.named(other).speaks_for
                    ]
                    answer = _answer(adapter, network, spoken_for)
                    tasks[protocol] = asyncio.create_task(answer)
            self._probe = _Probe(network.identity, now, tasks)
        return self._probe

    async def _open(
        self,
        protocol: str,
        network: Network,
        internal_port: int,
        port: int,
        *,
        exact: bool,
    ) -> Mapping:
        try:
            granted = await self._attempt(protocol, network, internal_port, port, exact=exact)
        except GatewayError as error:
            self._judge_lie(network.identity, error)
            raise
        assigned = granted.external_port
        if assigned == port or gateways.named(protocol).chooses_port:
            return granted
        if exact or await self._exposes(network, internal_port, assigned):
            await self.close(granted)
            raise silently_replaced(port)
        return granted

    async def _exposes(self, network: Network, door: int, port: int) -> bool:
        if self._settings.command.open:  # the user's own program knows where it leads
            return False
        return await self._may_expose(network.identity, network.client, door, port)

    async def _may_expose(self, network: str, address: str, door: int, port: int) -> bool:
        """Whether a router that ignores the internal port would lead to another server here."""
        if port == door or self._verdicts.honours(network):
            return False
        return await listens(address, port)

    def _ignores_internal_ports(self, network: Network) -> bool:
        return self._verdicts.honours(network.identity) is False

    def _judge_lie(self, network: str, error: GatewayError) -> None:
        if error.lied:
            self._verdicts.judge(network, honours=False)


def _wants_equal_ports(refusals: Sequence[GatewayError]) -> bool:
    return any(refusal.code == "same-port-only" for refusal in refusals)


async def _answer(
    adapter: Adapter,
    network: Network,
    spoken_for: Sequence[asyncio.Task[GatewayError | None]],
) -> GatewayError | None:
    """What the adapter's gateway answers. Does not ask if another protocol speaks for it: one
    server has both, and answers one request after the other.
    """
    for other in spoken_for:
        if await asyncio.shield(other) is None:
            return no_gateway()
    try:
        answers = await adapter.probe(network)
    except GatewayError as error:
        return error
    return None if answers else no_gateway()


def _is_good(answer: asyncio.Task[GatewayError | None]) -> bool:
    return not answer.cancelled() and answer.exception() is None and answer.result() is None
