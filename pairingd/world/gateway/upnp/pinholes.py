"""Pinholes by UPnP: WANIPv6FirewallControl:1, the part of IGD:2 that opens an IPv6 firewall.

A router opens it only for the address that asks, so all is sent from the address the guests come
to, and to the gateway's own address alone: no other device on the link is believed to be one.
What was measured was measured with miniupnpd 2.3.1.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world.gateway import grant, refusals
from pairingd.world.gateway.adapter import Presence
from pairingd.world.gateway.pxp.codec import TCP
from pairingd.world.gateway.pxp.datagrams import explained
from pairingd.world.gateway.upnp import ssdp

if TYPE_CHECKING:
    from pairingd.world.gateway.upnp.soap import Service

_KIND = re.compile(r"urn:schemas-upnp-org:service:WANIPv6FirewallControl:\d+")
_LONGEST = 86400  # seconds that LeaseTime may have (402 for more, measured)
_ABOUT_TO_CLOSE = 60  # seconds of a lease that is had only to be given back
_NUMBER = re.compile(r"\d{1,5}", re.ASCII)  # of a pinhole (UniqueID), ui2
_NO = frozenset({"0", "false", "no"})  # UPnP Device Architecture 2.0 §2.5, boolean

# WANIPv6FirewallControl:1: what the router answers where it does not do as it is told.
_OFF = 702  # FirewallDisabled
_NOT_ALLOWED = frozenset({606, 703})
_NO_SUCH = frozenset({704, 402})  # NoSuchEntry; miniupnpd says 402 (measured)
_NOT_OURS = _NO_SUCH | {606}  # of a number that another machine has got since a restart


class _Answer(NamedTuple):
    """UPnP's error code, 0 where all is well; then what the action says."""

    code: int
    told: dict[str, str]

    def denies(self, name: str) -> bool:
        return self.told.get(name, "").lower() in _NO


class FirewallAdapter:
    """A mapping's `handle` holds control URL, service type and UniqueID.

    Without a UniqueID the firewall was off: there is nothing to open, and all come through.
    `ssdp_port` is for tests.
    """

    protocol = "upnp"

    def __init__(self, clock: Callable[[], float], *, ssdp_port: int = ssdp.PORT) -> None:
        self._clock = clock
        self._ssdp_port = ssdp_port
        self._found: dict[str, Service] = {}  # by the network's identity

    async def probe(self, network: Network) -> bool:
        if not network.gateway:
            return False
        if network.identity not in self._found:
            service = await self._search(network)
            if service is None:
                return False
            self._found[network.identity] = service
        return True

    async def open(self, wanted: Mapping, lease: int) -> Mapping:
        return await self._add(wanted, lease)

    async def renew(self, mapping: Mapping, lease: int) -> Mapping:
        """By UpdatePinhole. AddPinhole, too, would find the old one and renew its lease, but after
        that miniupnpd never ends it (measured).
        """
        if number := _number(mapping):
            lease, asked_at = min(lease, _LONGEST), self._clock()
            answer = await self._call(
                mapping, "UpdatePinhole", UniqueID=number, NewLeaseTime=str(lease)
            )
            if answer.code == 0:
                return self._granted(mapping, number, lease, asked_at)
            if answer.code not in _NOT_OURS:
                raise _refusal(answer, mapping)
        return await self._add(mapping, lease)

    async def check(self, mapping: Mapping) -> Presence:
        try:
            return await self._look(mapping, _number(mapping))
        except GatewayError as error:
            if error.code == "local-network-denied":
                raise
            return Presence.UNKNOWN

    async def close(self, mapping: Mapping) -> None:
        """Also where the lease is over: see `renew` for one that may never end."""
        held = _number(mapping)
        if mapping.handle and not held:
            return
        # Asked for the same again the router tells the number by which it has ours, or a new one.
        # The one held may be another program's since a restart, or have never come to us.
        _, told = await self._ask_for(mapping, _ABOUT_TO_CLOSE)
        number, gone = (told, _NO_SUCH) if told else (held, _NOT_OURS)
        if not number:
            return
        for _ in range(2):  # the second time the router must say that there is none
            answer = await self._call(mapping, "DeletePinhole", UniqueID=number)
            if answer.code in gone:
                return
            if answer.code:
                raise _refusal(answer, mapping)
        raise refusals.still_there(mapping.external_port)

    async def _add(self, wanted: Mapping, lease: int) -> Mapping:
        lease, asked_at = min(lease, _LONGEST), self._clock()
        answer, number = await self._ask_for(wanted, lease)
        if answer.code:
            raise _refusal(answer, wanted)
        with _was_there(wanted.gateway):
            seen = await self._look(wanted, number)
        match seen:
            case Presence.PRESENT:
                return self._granted(wanted, number, lease, asked_at)
            case Presence.ABSENT:
                raise refusals.dropped()
        raise refusals.failed(wanted.external_port, "it does not show its pinholes")

    async def _ask_for(self, wanted: Mapping, lease: int) -> tuple[_Answer, str]:
        """The refusal, or the pinhole's number; "" where the firewall is off and needs none."""
        status = await self._call(wanted, "GetFirewallStatus")
        if status.denies("FirewallEnabled"):
            return status, ""
        if status.denies("InboundPinholeAllowed"):
            return _Answer(703, {}), ""
        with _was_there(wanted.gateway):
            answer = await self._call(
                wanted,
                "AddPinhole",
                RemoteHost="",
                RemotePort="0",  # the guests', that is: any
                InternalClient=wanted.internal_host,
                InternalPort=str(wanted.internal_port),
                Protocol=str(TCP),
                LeaseTime=str(lease),
            )
        if answer.code == _OFF:
            return _Answer(0, {}), ""
        number = answer.told.get("UniqueID", "")
        if answer.code == 0 and not _NUMBER.fullmatch(number):
            raise refusals.unreadable()
        return answer, number

    async def _look(self, mapping: Mapping, number: str) -> Presence:
        if not number:
            status = await self._call(mapping, "GetFirewallStatus")
            if status.code:
                return Presence.UNKNOWN
            return Presence.PRESENT if status.denies("FirewallEnabled") else Presence.ABSENT
        # CheckPinholeWorking is optional, and says no (709) until somebody has come.
        answer = await self._call(mapping, "GetPinholePackets", UniqueID=number)
        if answer.code in _NOT_OURS:
            return Presence.ABSENT
        return Presence.UNKNOWN if answer.code else Presence.PRESENT

    def _granted(self, wanted: Mapping, number: str, lease: int, asked_at: float) -> Mapping:
        service = self._found[wanted.network]
        handle = {"control_url": service.control_url, "service": service.type}
        if number:
            handle["unique_id"] = number
        made = replace(wanted, handle=tuple(handle.items()))
        return grant.granted(made, wanted.internal_host, lease, asked_at, lease / 2)

    async def _call(self, mapping: Mapping, action: str, **arguments: str) -> _Answer:
        """The router's answer, which is searched for when it is not where it was.

        Raises GatewayError `no-gateway` (none is found), `router-silent`, `router-failed` or
        `local-network-denied`.
        """
        identity, source = mapping.network, mapping.internal_host
        known = self._found.pop(identity, None) or _service(mapping)
        if known:
            answer = await _exchange(known, source, action, arguments)
            if answer is not None:
                self._found[identity] = known
                return answer
        interface = identity.partition("/")[0]
        found = await self._search(Network(interface, source, mapping.gateway))
        if found is None:
            raise refusals.not_spoken("UPnP over IPv6")
        answer = await _exchange(found, source, action, arguments)
        if answer is None:
            raise refusals.silent(mapping.gateway, "UPnP over IPv6")
        self._found[identity] = found
        return answer

    async def _search(self, network: Network) -> Service | None:
        """Raises GatewayError `local-network-denied`."""
        locations, error = await ssdp.search(
            network.address,
            network.gateway,
            self._ssdp_port,
            interface=network.interface,
        )
        if not locations:
            told = explained(error, network.gateway, sys.platform) if error else None
            if told and told.code == "local-network-denied":
                raise told
            return None
        from pairingd.world.gateway.upnp import (
            soap as igd,  # httpx and an XML parser; most networks need none
        )

        async with igd.client(network.address) as client:

            async def described(url: str) -> Service | None:
                try:
                    return (await igd.Igd.at(url, client)).service(_KIND)
                except igd.FAILURES:
                    return None

            services = await asyncio.gather(*map(described, locations))
        return next((one for one in services if one), None)


@contextmanager
def _was_there(gateway: str) -> Iterator[None]:
    """A router that has answered before, and now may have a pinhole, is silent and not nobody."""
    try:
        yield
    except GatewayError as error:
        if error.code not in refusals.NOTHING_MADE:
            raise
        raise refusals.silent(gateway, "UPnP over IPv6") from None


async def _exchange(
    service: Service, source: str, action: str, arguments: dict[str, str]
) -> _Answer | None:
    """None: nobody answers there. Raises GatewayError `router-failed` for what is no answer."""
    from pairingd.world.gateway.upnp import soap as igd

    async with igd.client(source) as client:
        try:
            told = await igd.Igd(service.control_url, client).call(service, action, **arguments)
        except igd.Fault as fault:
            return _Answer(fault.code or 501, {})  # ActionFailed, where it gives no code
        except igd.Strange:
            raise refusals.unreadable() from None
        except igd.FAILURES:
            return None
    return _Answer(0, told)


def _service(mapping: Mapping) -> Service | None:
    from pairingd.world.gateway.upnp.soap import Service

    handle = dict(mapping.handle)
    return Service(handle["service"], handle["control_url"]) if handle else None


def _number(mapping: Mapping) -> str:
    return dict(mapping.handle).get("unique_id", "")


def _refusal(answer: _Answer, mapping: Mapping) -> GatewayError:
    """What a person is told. `upnp` in its data is the router's own code."""
    told = refusals.not_permitted if answer.code in _NOT_ALLOWED else refusals.failed
    error = told(mapping.external_port, f"UPnP error {answer.code}")
    error.data["upnp"] = answer.code
    return error
