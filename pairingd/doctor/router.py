"""The home router: which protocols it speaks, and what it reports about itself.

With `--router` also its mappings, and a test port opened and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TypeVar

from msgspec import Struct, field

from pairingd import gateways
from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.advice import Routers
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.core.text import one_line
from pairingd.doctor import dry_run, ways
from pairingd.doctor.finding import Finding, State, Subject
from pairingd.doctor.home import LOCAL_NETWORK_DENIED
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway import refusals
from pairingd.world.gateway.adapter import Tools, mapping_adapters
from pairingd.world.gateway.pxp import natpmp_codec
from pairingd.world.gateway.pxp.datagrams import BRIEF, Datagrams
from pairingd.world.gateway.upnp import actions, exchange, soap, ssdp
from pairingd.world.gateway.upnp.description import Description, describe
from pairingd.world.gateway.upnp.igd import Igd, Unread, choose
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.network.towards import locate

Answer = TypeVar("Answer")
_UPNP_TIMEOUT_S = 10.0
_MAX_EXCHANGES = 300
_MAX_ROWS = 100
_MAX_SERVICES = 24
_MAX_MESSAGE_CHARACTERS = 1500  # of one message in the record of exchanges


class _Upnp(Struct, frozen=True):
    """A router's UPnP description, and its service that keeps the mappings."""

    description: Description
    igd: Igd


class _Survey(Struct):
    """The replies of the router at `where`. `upnp` is None unless it speaks UPnP. `asked`: the
    outcome of requesting a port.
    """

    where: Network
    upnp_timeout_s: float = _UPNP_TIMEOUT_S  # for all UPnP requests of one check
    most_rows: int = _MAX_ROWS
    refusals: dict[str, GatewayError | None] = field(default_factory=dict)
    upnp: _Upnp | None = None
    external: str = ""
    exchanges: list[str] = field(default_factory=list)
    asked: Routers = field(default_factory=Routers)

    @property
    def spoken(self) -> list[str]:
        return [protocol for protocol, refusal in self.refusals.items() if refusal is None]

    async def ask(self, call: soap.Call[Answer]) -> Answer:
        return await exchange.ask(call, self.where.address, self.record)

    def record_datagram(self, sign: str, gateway: str, data: bytes) -> None:
        self.exchanges.append(f"{sign} udp {gateway} {data[:64].hex()}")

    def record(self, sign: str, text: str) -> None:
        for line in text[:_MAX_MESSAGE_CHARACTERS].splitlines():
            if line.strip():
                self.exchanges.append(f"{sign} {one_line(line, _MAX_MESSAGE_CHARACTERS)}")


async def check(
    subject: Subject, *, upnp_timeout_s: float = _UPNP_TIMEOUT_S, most_rows: int = _MAX_ROWS
) -> AsyncIterator[Finding]:
    """`upnp_timeout_s` limits the UPnP requests of one check, `most_rows` the router's table."""
    chosen = subject.settings.config
    if not chosen.router.enabled:
        asked = Routers(used=False)
        yield Finding.ok("gateway", f"not used: [router] enabled = false; {_other_routes(chosen)}")
    else:
        router_config = chosen.router
        where = await locate(router_config.gateway or config.host_of(router_config.description_url))
        if missing := _missing(where) or refusals.door_elsewhere(where, chosen.forwarded_address):
            asked = Routers(error=missing)
            yield Finding.of("gateway", missing, State.WARN)
        elif where is not None:
            survey = _Survey(where, upnp_timeout_s, most_rows)
            await _fill(survey, router_config)
            async for finding in _examined(survey, subject):
                yield finding
            asked = survey.asked
    if subject.router:
        yield await ways.check(chosen, asked, subject.daemon)


def _missing(where: Network | None) -> GatewayError | None:
    if where is None:
        return GatewayError("no-gateway", "there is no way to the internet", "check the network")
    if where.gateway:
        return None
    problem = f"the default route bypasses the home router ({where.interface or 'a VPN'})"
    return GatewayError("no-gateway", problem, "leave the VPN to invite guests from the internet")


async def _examined(survey: _Survey, subject: Subject) -> AsyncIterator[Finding]:
    chosen = subject.settings.config
    yield _gateway(survey, _other_routes(chosen))
    if survey.spoken:
        yield _address(survey)
        if finding := await _port(survey, chosen.router.external_port, subject):
            yield finding
        if subject.router:
            async for finding in _router_details(survey, chosen.router):
                yield finding
    if subject.verbose:
        exchanges = survey.exchanges[:_MAX_EXCHANGES]
        yield Finding.ok("exchanges", f"what {survey.where.gateway} said", *exchanges)


async def _fill(survey: _Survey, router_config: config.Router) -> None:
    where = survey.where
    datagrams = Datagrams(record=survey.record_datagram)
    known = {
        adapter.protocol: adapter
        for adapter in mapping_adapters(Tools(router_config, time.time, datagrams))
    }

    async def probe(protocol: str) -> None:
        try:
            spoken = await known[protocol].probe(where)
            survey.refusals[protocol] = None if spoken else refusals.no_gateway()
        except GatewayError as error:
            survey.refusals[protocol] = error

    looks = [_look_at_upnp(survey, router_config)] if "upnp" in router_config.spoken else []
    await asyncio.gather(*map(probe, router_config.spoken), *looks)
    if not survey.external and "natpmp" in survey.spoken:
        request = natpmp_codec.AddressRequest()
        with contextlib.suppress(GatewayError):
            answer = await datagrams.exchange(
                where.gateway, where.address, request.encode(), request.decode, BRIEF
            )
            survey.external = str(answer.address or "")


async def _look_at_upnp(survey: _Survey, router_config: config.Router) -> None:
    """The first gateway that describes itself. The adapter's probe reports what fails here."""
    where, urls = survey.where, [router_config.description_url]
    if not router_config.description_url:
        urls, _ = await ssdp.search(where.address, where.gateway)
    for url in urls:
        try:
            async with asyncio.timeout(survey.upnp_timeout_s):
                survey.upnp, survey.external = await _described(survey, url)
        except exchange.FAILURES as error:
            survey.exchanges.append(f"{one_line(url, 80)}: {_cause(error)}")
        else:
            return


async def _described(survey: _Survey, url: str) -> tuple[_Upnp, str]:
    """The gateway at `url`, and its external address. Raises one of exchange.FAILURES."""
    description = await survey.ask(describe(await exchange.by_address(url)))
    if not description.wan_services:
        raise BadAnswer("no service there keeps port mappings")
    igd = await choose(description, survey.where.address, survey.record)
    return _Upnp(description, igd), one_line(igd.external, 40)


def _other_routes(chosen: config.Config) -> str:
    """Where guests come from while the router opens no port."""
    routes = [f"by the relay {chosen.relay.ssh}"] if chosen.relay.ssh else []
    if chosen.relay.command.run:
        routes.append("by what [relay.command] starts")
    if chosen.router.external_host and not chosen.router.enabled:
        routes.insert(0, f"by {chosen.router.external_host}, forwarded by hand")
    return f"guests come {' and '.join(routes) or 'from the LAN only'}"


def _gateway(survey: _Survey, without: str) -> Finding:
    where, spoken = survey.where, survey.spoken
    name = f"{where.gateway} ({where.interface})" if where.interface else where.gateway
    if spoken == ["command"]:
        return Finding.ok("gateway", f"[router.command] opens ports of the router {name}")
    if spoken:
        titles = ", ".join(gateways.named(protocol).title for protocol in spoken)
        return Finding.ok("gateway", f"the router {name} speaks {titles}")
    worst = refusals.most_telling([refusal for refusal in survey.refusals.values() if refusal])
    survey.asked = Routers(error=worst)
    state = State.FAIL if worst.code == LOCAL_NETWORK_DENIED else State.WARN
    return Finding("gateway", state, f"{worst.message}: {without}", worst.hint)


def _address(survey: _Survey) -> Finding:
    external = survey.external
    if not external and not survey.upnp:
        return Finding.ok("address", "the router reports its external address only with a mapping")
    ask = "forward the port in the router in front of it too, or ask for a public address"
    match external_class(external):
        case ExternalClass.PUBLIC:
            return Finding.ok("address", f"{external} is public")
        case ExternalClass.CGNAT:
            shared = f"{external} is shared by the provider among its customers (CGNAT)"
            return Finding.warn("address", shared, "ask the provider for a public address, or IPv6")
        case ExternalClass.PRIVATE:
            return Finding.warn("address", f"{external} is private: behind another router", ask)
        case _:
            none = f"the router has no external address ({external or 'it reports none'})"
            return Finding.warn("address", none, "check the router's own connection")


async def _port(survey: _Survey, port: int, subject: Subject) -> Finding | None:
    """Who holds the port that guests will use; only UPnP reports it."""
    if survey.upnp is None:
        return None
    try:
        async with asyncio.timeout(survey.upnp_timeout_s):
            holder = await survey.upnp.igd.look(port)
    except (OSError, Unread) as error:
        problem = f"the router does not report who holds port {port}: {_cause(error)}"
        return Finding.warn("port", problem, "restart the router if invitations fail, too")
    if holder is None:
        return Finding.ok("port", f"{port} is free on the router")
    if subject.daemon.external_port == port:
        return Finding.ok("port", f"{port} is open for the guests of this session")
    description = one_line(holder.description, 40) or "no description"
    target = f"{one_line(holder.client, 40)}:{holder.internal_port} ({description})"
    problem = f"the router forwards port {port} to {target}"
    return Finding.warn("port", problem, "guests get a high port instead; or remove that forward")


async def _router_details(survey: _Survey, router_config: config.Router) -> AsyncIterator[Finding]:
    if survey.upnp:
        description = survey.upnp.description
        name = one_line(description.name, 40) or "a router without a name"
        types = [one_line(service.type, 80) for service in description.services[:_MAX_SERVICES]]
        yield Finding.ok("igd", f"{name} at {one_line(description.url, 60)}", *types)
        yield await _mappings(survey, survey.upnp.igd.service)
    done = await dry_run.check(survey.where, router_config)
    survey.asked = replace(done.routers, asks_second=router_config.asks_second)
    yield done.finding


async def _mappings(survey: _Survey, wan: soap.Service) -> Finding:
    try:
        async with asyncio.timeout(survey.upnp_timeout_s):
            rows = await _table(survey, wan)
    except exchange.FAILURES as error:
        problem = f"the router does not show its mappings: {_cause(error)}"
        return Finding.warn("mappings", problem, "check them in the router's settings")
    more = " or more" if len(rows) == survey.most_rows else ""
    return Finding.ok("mappings", f"{len(rows)}{more} on the router", *map(_row, rows))


async def _table(survey: _Survey, wan: soap.Service) -> list[actions.Forward]:
    """The router's forwards in its own order, at most `survey.most_rows`."""
    rows: list[actions.Forward] = []
    while len(rows) < survey.most_rows:
        try:
            rows.append(await survey.ask(actions.forward_at(wan, len(rows))))
        except soap.Fault as fault:
            if fault.code in soap.END_OF_TABLE:
                break
            raise
    return rows


def _row(row: actions.Forward) -> str:
    protocol, client = one_line(row.protocol, 10), one_line(row.client, 40)
    lease = f"{row.lease} s left" if row.lease else "no end"
    ports = f"{row.external_port}/{protocol} -> {client}:{row.internal_port}"
    disabled = "" if row.enabled else " (disabled)"
    return f"{ports}{disabled}  {lease}  {one_line(row.description, 40)}"


def _cause(error: BaseException) -> str:
    return one_line(str(error), 100) or type(error).__name__
