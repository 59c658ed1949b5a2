"""Finds which of the devices that answer is the gateway, and which of its services to use."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.machine import interfaces, lan
from pairingd.world.gateway import refusals
from pairingd.world.gateway.adapter import MacOf
from pairingd.world.gateway.upnp import problems, ssdp
from pairingd.world.gateway.upnp.igd import BEST, Igd, connect
from pairingd.world.gateway.upnp.location import location_host

_MAX_LOCATIONS = 8  # that a gateway names; each is surveyed
# Of a second router, which a search may not reach: miniupnpd's, and FRITZ!Box's.
_USUAL = ("http://{}:5000/rootDesc.xml", "http://{}:49000/igddesc.xml")
_USUAL_TIMEOUT_S = 2.0


class Finder:
    """Finds each network's gateway once. `description_url`: where the user says it is.

    Accepts no device but the gateway, which may have several addresses. Asks a second router only
    at its own address.
    """

    def __init__(
        self,
        mac_of: MacOf,
        description_url: str,
        *,
        ssdp_port: int,
        schedule: ssdp.Schedule,
        platform: str,
    ) -> None:
        self._mac_of = mac_of
        self._fixed = description_url
        self._ssdp_port = ssdp_port
        self._schedule = schedule
        self._platform = platform
        self._known: dict[str, Igd] = {}  # by the network's identity

    async def find(self, network: Network, url: str = "") -> Igd:
        """The gateway of `network`: the known one, else the one at `url`, else by a search.

        Raises GatewayError `no-gateway`, `router-lied`, `router-silent`, `local-network-denied`.
        """
        known = self._known.get(network.identity)
        return known or await self.survey(network, url)

    async def survey(self, network: Network, url: str = "") -> Igd:
        """The same, but ask again even if it is known."""
        known = self._known.pop(network.identity, None)
        igd = await self._connect_or_search(network, known.url if known else url)
        self._known[network.identity] = igd
        return igd

    def forget(self, network: Network) -> None:
        """Search for it again next time."""
        self._known.pop(network.identity, None)

    async def learn(self, network: Network, locations: Sequence[str]) -> None:
        """Use them as results of our own search, and remember the best.

        Raises GatewayError `bad-description-url` for one that no search would have kept, and like
        `find` if none of them is a gateway's; then what was known before stays known.
        """
        for location in locations:
            if not await self._is_gateways(network, location_host(location) or ""):
                raise problems.bad_description_url(location)
        surveys = [self._survey(network, location) for location in locations[:_MAX_LOCATIONS]]
        self._known[network.identity] = _best(network, await asyncio.gather(*surveys))

    async def _connect_or_search(self, network: Network, url: str) -> Igd:
        if self._fixed:
            return await connect(self._fixed, network.address, self._platform)
        if url and await self._is_gateways(network, location_host(url) or ""):
            known = await self._survey(network, url)
            if isinstance(known, Igd):
                return known
        return await self._search(network)

    async def _search(self, network: Network) -> Igd:
        surveys: list[Igd | GatewayError] = []
        usual = [url.format(network.gateway) for url in _USUAL] if network.behind else []
        guesses = asyncio.gather(*(self._survey_soon(network, url) for url in usual))

        async def judge(location: str) -> bool:
            survey = await self._survey(network, location)
            surveys.append(survey)
            at_gateway = location_host(location) == network.gateway
            return at_gateway and isinstance(survey, Igd) and survey.worth == BEST

        async def is_gateway(host: str) -> bool:
            return await self._is_gateways(network, host)

        _, error = await ssdp.search(
            network.address,
            network.gateway,
            self._ssdp_port,
            schedule=self._schedule,
            is_gateway=is_gateway,
            judge=judge,
            multicast=not network.behind,
        )
        if any(isinstance(survey, Igd) for survey in surveys):
            guesses.cancel()
        else:
            surveys += await guesses
        if not surveys and lan.is_denied(error, self._platform):
            raise lan.denied()
        return _best(network, surveys)

    async def _survey(self, network: Network, location: str) -> Igd | GatewayError:
        try:
            return await connect(location, network.address, self._platform)
        except GatewayError as error:
            return error

    async def _survey_soon(self, network: Network, location: str) -> Igd | GatewayError:
        try:
            async with asyncio.timeout(_USUAL_TIMEOUT_S):
                return await self._survey(network, location)
        except TimeoutError:
            return refusals.silent_upnp()

    async def _is_gateways(self, network: Network, host: str) -> bool:
        """By its MAC address if it is not the gateway's own address."""
        if host == network.gateway:
            return True
        mac = "" if network.behind else network.gateway_mac
        if not mac or not interfaces.on_link(host, network.address):
            return False
        return await self._mac_of(host, network.interface) == mac


def _best(network: Network, surveys: Iterable[Igd | GatewayError]) -> Igd:
    """At the gateway's own address first; connected and public before connected, before any.

    Raises GatewayError if there is none: the most telling failure.
    """
    gateways: list[Igd] = []
    failures: list[GatewayError] = []
    for survey in surveys:
        if isinstance(survey, Igd):
            gateways.append(survey)
        else:
            failures.append(survey)
    if gateways:
        return max(gateways, key=lambda igd: (location_host(igd.url) == network.gateway, igd.worth))
    raise refusals.most_telling(failures) if failures else problems.nobody()
