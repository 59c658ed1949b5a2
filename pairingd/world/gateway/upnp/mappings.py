"""Mappings by a UPnP Internet Gateway Device, which a child process asks.

Everything that the child answers comes from a device on the LAN, and is checked before use.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pairingd import config, interfaces, lan
from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world.gateway import refusals
from pairingd.world.gateway.grant import RENEWAL_GAP
from pairingd.world.gateway.upnp import child, ssdp
from pairingd.world.gateway.upnp.answer import (
    Answer,
    bad_description_url,
    ipv4_or_nothing,
    is_public,
    no_igd,
    refusal,
    shown,
)
from pairingd.world.gateway.upnp.location import location_host

_MAX_SURVEYED = 4
_WEEK = 604800  # the longest lease of WANIPConnection:2 §2.3.18
_CONNECTED = frozenset({"Connected", "Up"})


@dataclass(frozen=True, slots=True)
class _Where:
    """A network's identity and what a search in it needs to know."""

    identity: str
    address: str
    gateway: str

    @classmethod
    def at(cls, network: Network) -> _Where:
        return cls(network.identity, network.address, network.gateway)

    @classmethod
    def of(cls, mapping: Mapping) -> _Where:
        return cls(mapping.network, mapping.internal_host, mapping.gateway)


class UpnpAdapter:
    """Mappings by UPnP. `ssdp_port` and `platform` are for tests."""

    protocol = "upnp"

    def __init__(
        self,
        settings: config.Router,
        clock: Callable[[], float],
        *,
        ssdp_port: int = ssdp.PORT,
        platform: str = sys.platform,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._ssdp_port = ssdp_port
        self._platform = platform
        self._urls: dict[str, str] = {}

    async def probe(self, network: Network) -> bool:
        where = _Where.at(network)
        try:
            await self._ask(where, {"task": "survey"}, self._urls.get(where.identity, ""))
        except GatewayError as error:
            if error.code == "no-gateway":
                return False
            raise
        return True

    async def open(self, wanted: Mapping, lease: int) -> Mapping:
        return await self._add(wanted, lease)

    async def renew(self, mapping: Mapping, lease: int) -> Mapping:
        return await self._add(mapping, lease)

    async def check(self, mapping: Mapping) -> Presence:
        try:
            url, answer = await self._ask(_Where.of(mapping), _job("look", mapping), _url(mapping))
        except GatewayError as error:
            if error.code == "local-network-denied":
                raise
            return Presence.UNKNOWN
        outside = _external_host(answer.external, url)
        if answer.outcome == "present" and outside and outside != mapping.external_host:
            return Presence.ABSENT  # what was made for the address of before is worth nothing
        return {
            "present": Presence.PRESENT,
            "absent": Presence.ABSENT,
            "foreign": Presence.FOREIGN,
        }.get(answer.outcome, Presence.UNKNOWN)

    async def close(self, mapping: Mapping) -> None:
        if mapping.unshown and mapping.is_over(self._clock()):
            return  # another mapping that may be there by now looks like ours
        _, answer = await self._ask(_Where.of(mapping), _job("delete", mapping), _url(mapping))
        if answer.outcome not in ("absent", "foreign"):
            raise refusal(answer, mapping)

    async def sweep(self, network: Network, keep: Collection[int]) -> int:
        """Remove what earlier daemons of this machine left, however it came to be forgotten.

        How many mappings that were. Raises GatewayError like `probe`.
        """
        where = _Where.at(network)
        job = {"task": "sweep", "address": network.address, "keep": list(keep)}
        _, answer = await self._ask(where, job, self._urls.get(where.identity, ""))
        return answer.count

    async def told(self, network: Network, locations: Sequence[str]) -> None:
        """Take them as if a search of our own had heard of them, and remember the best.

        Raises GatewayError `bad-description-url` for one that no search would have kept, and like
        `open` where none of them is a gateway's; what was known before is then known still.
        """
        where = _Where.at(network)
        for location in locations:
            host = location_host(location)
            if not host or (host != where.gateway and not interfaces.on_link(host, where.address)):
                raise bad_description_url(location)
        self._urls[where.identity] = await self._choose(where, locations)

    async def _add(self, mapping: Mapping, lease: int) -> Mapping:
        job = _job("add", mapping) | {
            "lease": 0 if mapping.permanent else lease,
            "granted": int(dict(mapping.handle).get("lease", "0")),
            "permanent": mapping.permanent or self._settings.allow_permanent,
        }
        url, answer = await self._ask(_Where.of(mapping), job, _url(mapping))
        if answer.outcome != "granted":
            raise refusal(answer, mapping)
        if 0 < answer.lease < RENEWAL_GAP:  # miniupnpd reports 4 s of a lease of 5
            raise refusals.too_short(answer.lease)
        # A mapping without an end, or whose end is not shown, is renewed as if it had our lease.
        granted = min(answer.lease or lease, _WEEK)
        handle = {"url": url, "description": answer.description, "lease": str(granted)}
        if answer.permanent:
            handle["permanent"] = "yes"
        if answer.unshown:
            handle |= {"unshown": "yes", "up_since": str(answer.up_since)}
        now = self._clock()
        return replace(
            mapping,
            external_host=_external_host(answer.external, url),
            handle=tuple(handle.items()),
            granted_until=now + granted,
            renew_at=now + max(granted / 2, RENEWAL_GAP),
        )

    async def _ask(self, where: _Where, job: dict[str, Any], url: str) -> tuple[str, Answer]:
        """The answer of this network's router, searched for when it is not where it was.

        Raises GatewayError `no-gateway`, `router-silent` or `local-network-denied`.
        """
        fixed = self._settings.description_url
        known = fixed or url or self._urls.get(where.identity, "")
        if known:
            answer = await child.run(job | {"url": known})
            if answer.outcome not in ("unreachable", "not-igd", "offhost"):
                return known, answer
            self._urls.pop(where.identity, None)
            if fixed:
                raise self._unfit(answer, known)
        found = await self._search(where)
        self._urls[where.identity] = found
        return found, await child.run(job | {"url": found})

    async def _search(self, where: _Where) -> str:
        locations, error = await ssdp.search(where.address, where.gateway, self._ssdp_port)
        if not locations:
            nobody = GatewayError(
                "no-gateway",
                "no router answered to UPnP",
                "switch UPnP on in the router, or set [router] description_url",
            )
            raise lan.explained(error, nobody, self._platform)
        return await self._choose(where, locations)

    async def _choose(self, where: _Where, locations: Sequence[str]) -> str:
        own = [url for url in locations if location_host(url) == where.gateway]
        problem: GatewayError | None = None
        for group in (own, [url for url in locations if url not in own][:_MAX_SURVEYED]):
            best, refused = await self._best(group[:_MAX_SURVEYED])
            if best:
                return best
            problem = problem or refused
        raise problem or no_igd("no device")

    async def _best(self, urls: list[str]) -> tuple[str, GatewayError | None]:
        """Connected and public before connected, before any (miniupnpc knows one IGD a search)."""
        surveys = await asyncio.gather(
            *(child.run({"task": "survey", "url": url}) for url in urls), return_exceptions=True
        )
        ranked: list[tuple[int, str]] = []
        problem: GatewayError | None = None
        for url, survey in zip(urls, surveys, strict=True):
            if isinstance(survey, Answer) and survey.outcome == "usable":
                ranked.append((_worth(survey), url))
            elif isinstance(survey, Answer):
                problem = problem or self._unfit(survey, url)
            elif isinstance(survey, GatewayError):
                problem = problem or survey
            else:
                raise survey
        return (max(ranked, key=lambda pair: pair[0])[1] if ranked else ""), problem

    def _unfit(self, answer: Answer, url: str) -> GatewayError:
        if answer.outcome == "unreachable":
            why = f": {answer.errno}" if answer.errno else ""
            nobody = GatewayError(
                "no-gateway",
                f"no UPnP description at {shown(url)}{why}",
                "switch UPnP on in the router, or correct [router] description_url",
            )
            error = OSError(getattr(errno, answer.errno), "") if answer.errno else None
            return lan.explained(error, nobody, self._platform)
        if answer.outcome == "offhost":
            return GatewayError(
                "router-lied",
                f"{shown(url)} names a control URL on another host",
                "some device poses as the router, or its firmware is broken; look at that address",
            )
        return no_igd(shown(url))


def _job(task: str, mapping: Mapping) -> dict[str, Any]:
    description = f"pairingd{mapping.token[:8]}"
    handle = dict(mapping.handle)
    return {
        "task": task,
        "address": mapping.internal_host,
        "internal_port": mapping.internal_port,
        "external_port": mapping.external_port,
        "description": description,
        "known": handle.get("description", description),
        "unshown": mapping.unshown,
        "up_since": int(handle.get("up_since", "0")),
    }


def _url(mapping: Mapping) -> str:
    return dict(mapping.handle).get("url", "")


def _worth(survey: Answer) -> int:
    if survey.status not in _CONNECTED:
        return 0
    return 2 if is_public(survey.external) else 1


def _external_host(address: str, url: str) -> str:
    """The external address that the router reports; "" where it cannot be true."""
    if external_class(address) is not ExternalClass.BOGUS:
        return address
    # A router that is itself on loopback (a demonstration, a test) may say so of its other side.
    host = location_host(url) or ""
    both = (ipv4_or_nothing(address), ipv4_or_nothing(host))
    return address if all(x and ipaddress.ip_address(x).is_loopback for x in both) else ""
