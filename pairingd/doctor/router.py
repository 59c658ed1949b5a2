"""The home router, as far as asking goes: which protocols it speaks, and what it says of itself.

With `--router` also what it has, and a test port opened and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pairingd import config
from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.network import Network
from pairingd.core.text import one_line
from pairingd.doctor import dry_run
from pairingd.doctor.finding import Finding, State, Subject
from pairingd.doctor.home import LOCAL_NETWORK_DENIED
from pairingd.doctor.igd import RecordedIgd
from pairingd.errors import GatewayError
from pairingd.world.gateway import igd, natpmp, ssdp
from pairingd.world.gateway.datagram import BRIEF, PATIENT, Datagrams
from pairingd.world.gateway.router import known_adapters
from pairingd.world.network.towards import locate

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")
_FORWARD = "switch UPnP, PCP or NAT-PMP on in the router, or forward a port there by hand"
_IGD_SECONDS = 10.0
_MOST_EXCHANGES = 300
_MOST_ROWS = 100
_MOST_SERVICES = 24


class RecordedDatagrams(Datagrams):
    """As Datagrams, and what was said in hexadecimal."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[str] = []

    async def exchange(
        self,
        gateway: str,
        source: str,
        request: bytes,
        decode: Callable[[bytes], Answer],
        waits: Sequence[float] = PATIENT,
    ) -> Answer:
        self.exchanges.append(f"> udp {gateway} {request.hex()}")

        def heard(data: bytes) -> Answer:
            self.exchanges.append(f"< udp {gateway} {data[:64].hex()}")
            return decode(data)

        return await super().exchange(gateway, source, request, heard, waits)


@dataclass(slots=True)
class _Survey:
    """What the router at `where` answered. `igd` is None unless it speaks UPnP."""

    where: Network
    datagrams: RecordedDatagrams = field(default_factory=RecordedDatagrams)
    refusals: dict[str, GatewayError | None] = field(default_factory=dict)
    igd: RecordedIgd | None = None
    refused: list[str] = field(default_factory=list)
    external: str = ""

    @property
    def spoken(self) -> list[str]:
        return [protocol for protocol, refusal in self.refusals.items() if refusal is None]

    @property
    def exchanges(self) -> list[str]:
        said = [*self.datagrams.exchanges, *self.refused]
        said += self.igd.exchanges if self.igd else ()
        return said[:_MOST_EXCHANGES]


async def check(subject: Subject) -> AsyncIterator[Finding]:
    chosen = subject.settings.config
    wanted = chosen.router
    if not wanted.enabled:
        unused = f"not used: [router] enabled = false; {_without(chosen)}"
        yield Finding.ok("gateway", unused)
        return
    where = await locate(wanted.gateway or config.host_of(wanted.description_url))
    if where is None:
        yield Finding.warn("gateway", "there is no way to the internet", "check the network")
        return
    if not where.gateway:
        what = f"the default route bypasses the home router ({where.interface or 'a VPN'})"
        yield Finding.warn("gateway", what, "leave the VPN to invite guests from the internet")
        return
    async with igd.client(where.address) as client:
        survey = await _survey(wanted, where, client)
        yield _gateway(survey, _without(chosen))
        if survey.spoken:
            yield _address(survey)
            if finding := await _port(survey, wanted.external_port, subject):
                yield finding
        if survey.spoken and subject.router:
            async for finding in _more(survey, wanted):
                yield finding
        if subject.verbose:
            yield Finding.ok("exchanges", f"what {where.gateway} said", *survey.exchanges)


async def _survey(wanted: config.Router, where: Network, client: httpx.AsyncClient) -> _Survey:
    survey = _Survey(where)
    known = {one.protocol: one for one in known_adapters(wanted, time.time, survey.datagrams)}

    async def probe(protocol: str) -> None:
        silent = GatewayError("no-gateway", "no router answered that could open a port", _FORWARD)
        try:
            spoken = await known[protocol].probe(where)
            survey.refusals[protocol] = None if spoken else silent
        except GatewayError as error:
            survey.refusals[protocol] = error

    looks = [_look_at_igd(survey, wanted, client)] if "upnp" in wanted.spoken else []
    await asyncio.gather(*map(probe, wanted.spoken), *looks)
    if not survey.external and "natpmp" in survey.spoken:
        request = natpmp.AddressRequest()
        with contextlib.suppress(GatewayError):
            answer = await survey.datagrams.exchange(
                where.gateway, where.address, request.encode(), request.decode, BRIEF
            )
            survey.external = str(answer.address or "")
    return survey


async def _look_at_igd(survey: _Survey, wanted: config.Router, client: httpx.AsyncClient) -> None:
    """The first gateway that describes itself. What fails here, the adapter's probe tells."""
    where, urls = survey.where, [wanted.description_url]
    if not wanted.description_url:
        urls, _ = await ssdp.search(where.address, where.gateway)
    for url in urls:
        try:
            async with asyncio.timeout(_IGD_SECONDS):
                found = await RecordedIgd.at(url, client)
                with contextlib.suppress(igd.Fault):  # as some do that are not connected
                    survey.external = await found.external_address()
        except igd.FAILURES as error:
            survey.refused.append(f"{one_line(url, 80)}: {_told(error)}")
        else:
            survey.igd = found
            return


def _without(chosen: config.Config) -> str:
    """Where guests come from while the router opens no port."""
    ways = [f"by the relay {chosen.relay.ssh}"] if chosen.relay.ssh else []
    if chosen.router.external_host and not chosen.router.enabled:
        ways.insert(0, f"by {chosen.router.external_host}, forwarded by hand")
    return f"guests come {' and '.join(ways) or 'from the LAN only'}"


def _gateway(survey: _Survey, without: str) -> Finding:
    where, spoken = survey.where, survey.spoken
    name = f"{where.gateway} ({where.interface})" if where.interface else where.gateway
    if spoken == ["command"]:
        return Finding.ok("gateway", f"[router.command] opens ports of the router {name}")
    if spoken:
        return Finding.ok("gateway", f"the router {name} speaks {', '.join(spoken)}")
    # The adapters' own order of codes, worst first: what macOS refuses, it refuses to all.
    refusals = [refusal for refusal in survey.refusals.values() if refusal]
    told = next((one for one in refusals if one.code == LOCAL_NETWORK_DENIED), refusals[0])
    state = State.FAIL if told.code == LOCAL_NETWORK_DENIED else State.WARN
    return Finding("gateway", state, f"{told.message}: {without}", told.hint)


def _address(survey: _Survey) -> Finding:
    external = survey.external
    if not external and not survey.igd:
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
    """Who holds the port that guests are to use; only UPnP can be asked."""
    if survey.igd is None:
        return None
    try:
        async with asyncio.timeout(_IGD_SECONDS):
            holder = await survey.igd.holder(port)
    except igd.FAILURES as error:
        what = f"the router does not report who holds port {port}: {_told(error)}"
        return Finding.warn("port", what, "restart the router if invitations fail, too")
    if holder is None:
        return Finding.ok("port", f"{port} is free on the router")
    if subject.daemon.external_port == port:
        return Finding.ok("port", f"{port} is open for the guests of this session")
    whose = f"{holder.client}:{holder.internal_port} ({holder.description or 'no description'})"
    what = f"the router forwards port {port} to {whose}"
    return Finding.warn("port", what, "guests get a high port instead; or remove that forward")


async def _more(survey: _Survey, wanted: config.Router) -> AsyncIterator[Finding]:
    if survey.igd:
        found = survey.igd
        types = [service.type for service in found.services[:_MOST_SERVICES]]
        yield Finding.ok("igd", f"{found.name} at {one_line(found.url, 60)}", *types)
        yield await _mappings(found)
    yield await dry_run.check(survey.where, wanted)


async def _mappings(found: RecordedIgd) -> Finding:
    try:
        async with asyncio.timeout(_IGD_SECONDS):
            rows = await found.table(_MOST_ROWS)
    except igd.FAILURES as error:
        what = f"the router does not show its mappings: {_told(error)}"
        return Finding.warn("mappings", what, "check them in the router's settings")
    more = " or more" if len(rows) == _MOST_ROWS else ""
    return Finding.ok("mappings", f"{len(rows)}{more} on the router", *map(str, rows))


def _told(error: BaseException) -> str:
    return one_line(str(error), 100) or type(error).__name__
