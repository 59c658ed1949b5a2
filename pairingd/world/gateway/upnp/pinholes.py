"""Pinholes by UPnP: WANIPv6FirewallControl:1, the part of IGD:2 that opens an IPv6 firewall.

A router opens a pinhole only for the address that asks, so all requests go from the address that
guests connect to, and only to the gateway's own address: no other device on the link is trusted.
"Measured" means with miniupnpd 2.3.1.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.machine import lan
from pairingd.world.gateway import grant, refusals
from pairingd.world.gateway.adapter import Record, nobody_records
from pairingd.world.gateway.upnp import actions, exchange, ssdp
from pairingd.world.gateway.upnp.description import describe
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import ACTION_FAILED, Call, Fault, Result, Service

_MAX_LEASE_S = 86400  # of LeaseTime (402 for more, measured)
_CLOSING_LEASE_S = 60  # of a pinhole that is requested only to be closed
_UNIQUE_ID = re.compile(r"\d{1,5}", re.ASCII)  # of a pinhole (UniqueID), ui2

# WANIPv6FirewallControl:1: refusals.
_FIREWALL_DISABLED = 702
_NOT_ALLOWED = frozenset({606, 703})
_NO_SUCH = frozenset({704, 402})  # NoSuchEntry; miniupnpd answers 402 (measured)
_NOT_OURS = _NO_SUCH | {606}  # of a number that another machine has got since a restart

Action = Callable[[Service], Call[Result]]


class UpnpPinholes:
    """A mapping's `handle` holds control URL, service type and UniqueID.

    Without a UniqueID the firewall was off, and lets everything through.
    The keyword arguments are for tests.
    """

    protocol = "upnp"

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        ssdp_port: int = ssdp.PORT,
        schedule: ssdp.Schedule = ssdp.SCHEDULE,
        answer_timeout_s: float = exchange.ANSWER_TIMEOUT_S,
    ) -> None:
        self._clock = clock
        self._ssdp_port = ssdp_port
        self._schedule = schedule
        self._answer_timeout_s = answer_timeout_s
        self._services: dict[str, Service] = {}  # by the network's identity

    async def probe(self, network: Network) -> bool:
        if not network.gateway:
            return False
        if network.identity not in self._services:
            service = await self._search(network)
            if service is None:
                return False
            self._services[network.identity] = service
        return True

    async def open(
        self,
        requested: Mapping,
        lease: int,
        *,
        exact: bool = True,  # noqa: ARG002 - nothing is translated
        record: Record = nobody_records,  # noqa: ARG002 - `close` requests it again to identify it
    ) -> Mapping:
        return await self._add(requested, lease)

    async def renew(
        self,
        mapping: Mapping,
        lease: int,
        *,
        record: Record = nobody_records,  # noqa: ARG002 - likewise
    ) -> Mapping:
        """By UpdatePinhole. AddPinhole would renew the old one's lease too, but after that
        miniupnpd never ends it (measured).
        """
        if number := _number(mapping):
            lease, asked_at = min(lease, _MAX_LEASE_S), self._clock()
            try:
                await self._call(
                    mapping, lambda service: actions.update_pinhole(service, number, lease)
                )
            except Fault as fault:
                if fault.code not in _NOT_OURS:
                    raise _refusal(fault, mapping) from None
            else:
                return self._granted(mapping, number, lease, asked_at)
        return await self._add(mapping, lease)

    async def check(
        self,
        mapping: Mapping,
        *,
        quick: bool = False,  # noqa: ARG002 - every check is one request
    ) -> Presence:
        try:
            return await self._look(mapping, _number(mapping))
        except GatewayError as error:
            if error.code == "local-network-denied":
                raise
            return Presence.UNKNOWN

    async def close(self, mapping: Mapping) -> None:
        """Also if the lease is over: see `renew` for one that may never end."""
        held = _number(mapping)
        if mapping.handle and not held:
            return
        # To the same request again, the router answers with the number of ours, or with a new one.
        # The stored number may be another program's since a restart, or may never have reached us.
        try:
            current = await self._ask_for(mapping, _CLOSING_LEASE_S)
        except Fault:
            current = ""
        number, gone = (current, _NO_SUCH) if current else (held, _NOT_OURS)
        if not number:
            return
        for _ in range(2):  # the second time the router must answer that there is none
            try:
                await self._call(mapping, lambda service: actions.delete_pinhole(service, number))
            except Fault as fault:
                if fault.code in gone:
                    return
                raise _refusal(fault, mapping) from None
        raise refusals.still_there(mapping.external_port)

    async def _add(self, requested: Mapping, lease: int) -> Mapping:
        lease, asked_at = min(lease, _MAX_LEASE_S), self._clock()
        try:
            number = await self._ask_for(requested, lease)
        except Fault as fault:
            raise _refusal(fault, requested) from None
        with _answered_before(requested.gateway):
            seen = await self._look(requested, number)
        match seen:
            case Presence.PRESENT:
                return self._granted(requested, number, lease, asked_at)
            case Presence.ABSENT:
                raise refusals.dropped()
            case Presence.FOREIGN | Presence.UNKNOWN:
                raise refusals.failed(requested.external_port, "it does not show its pinholes")

    async def _ask_for(self, requested: Mapping, lease: int) -> str:
        """The pinhole's number, "" if the firewall is off and needs none. Raises Fault."""
        try:
            firewall = await self._call(requested, actions.firewall_status)
        except Fault:
            firewall = actions.Firewall(enabled=True, allows_pinholes=True)
        if not firewall.enabled:
            return ""
        if not firewall.allows_pinholes:
            raise Fault(703)
        client, port = requested.internal_host, requested.internal_port
        with _answered_before(requested.gateway):
            try:
                number = await self._call(
                    requested, lambda service: actions.add_pinhole(service, client, port, lease)
                )
            except Fault as fault:
                if fault.code == _FIREWALL_DISABLED:
                    return ""
                raise
        if not _UNIQUE_ID.fullmatch(number):
            raise refusals.unreadable()
        return number

    async def _look(self, mapping: Mapping, number: str) -> Presence:
        try:
            if not number:
                firewall = await self._call(mapping, actions.firewall_status)
                return Presence.ABSENT if firewall.enabled else Presence.PRESENT
            await self._call(mapping, lambda service: actions.pinhole_packets(service, number))
        except Fault as fault:
            gone = number and fault.code in _NOT_OURS
            return Presence.ABSENT if gone else Presence.UNKNOWN
        return Presence.PRESENT

    def _granted(self, requested: Mapping, number: str, lease: int, asked_at: float) -> Mapping:
        service = self._services[requested.network]
        handle = {"control_url": service.control_url, "service": service.type}
        if number:
            handle["unique_id"] = number
        made = replace(requested, handle=tuple(handle.items()))
        endpoint = requested.internal_host, requested.internal_port
        return grant.granted(made, endpoint, lease, asked_at, lease / 2)

    async def _call(self, mapping: Mapping, action: Action[Result]) -> Result:
        """The router's answer; searches for the router if it is not where it was.

        Raises Fault, and GatewayError `no-gateway` (none is found), `router-silent`,
        `router-failed` or `local-network-denied`.
        """
        identity, source = mapping.network, mapping.internal_host
        if known := self._services.pop(identity, None) or _service(mapping):
            try:
                return await self._ask(identity, known, source, action)
            except OSError:
                pass  # nobody answers there any more
        interface = identity.partition("/")[0]
        service = await self._search(Network(interface, source, mapping.gateway))
        if service is None:
            raise refusals.not_spoken("UPnP over IPv6")
        try:
            return await self._ask(identity, service, source, action)
        except OSError as error:
            raise lan.explained(error, refusals.silent(mapping.gateway, "UPnP over IPv6")) from None

    async def _ask(
        self,
        identity: str,
        service: Service,
        source: str,
        action: Action[Result],
    ) -> Result:
        """Remembers a service that answers. Raises OSError if it does not."""
        try:
            answer = await exchange.ask(action(service), source, timeout_s=self._answer_timeout_s)
        except Fault as fault:
            self._services[identity] = service
            raise Fault(fault.code or ACTION_FAILED) from None
        except BadAnswer:
            raise refusals.unreadable() from None
        self._services[identity] = service
        return answer

    async def _search(self, network: Network) -> Service | None:
        """Raises GatewayError `local-network-denied`."""
        services: list[Service] = []

        async def has_firewall(url: str) -> bool:
            with contextlib.suppress(*exchange.FAILURES):
                description = await exchange.ask(
                    describe(url), network.address, timeout_s=self._answer_timeout_s
                )
                if service := description.firewall:
                    services.append(service)
            return bool(services)

        locations, error = await ssdp.search(
            network.address,
            network.gateway,
            self._ssdp_port,
            interface=network.interface,
            schedule=self._schedule,
            judge=has_firewall,
        )
        if not locations and lan.is_denied(error):
            raise lan.denied()
        return next(iter(services), None)


@contextlib.contextmanager
def _answered_before(gateway: str) -> Iterator[None]:
    """Raise `router-silent` for one that answered before, since it may have a pinhole now."""
    try:
        yield
    except GatewayError as error:
        if error.code not in refusals.NOTHING_MADE:
            raise
        raise refusals.silent(gateway, "UPnP over IPv6") from None


def _service(mapping: Mapping) -> Service | None:
    handle = dict(mapping.handle)
    return Service(handle["service"], handle["control_url"]) if handle else None


def _number(mapping: Mapping) -> str:
    return dict(mapping.handle).get("unique_id", "")


def _refusal(fault: Fault, mapping: Mapping) -> GatewayError:
    """The error that people see. Its data's `upnp` is the router's own code."""
    refusal = refusals.not_permitted if fault.code in _NOT_ALLOWED else refusals.failed
    error = refusal(mapping.external_port, f"UPnP error {fault.code}")
    error.data["upnp"] = fault.code
    return error
