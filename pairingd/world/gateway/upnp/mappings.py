"""Mappings by a UPnP Internet Gateway Device.

The result of an action is known by looking, never by its answer: some routers refuse and do it,
some agree and do not, some do something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence

from pairingd.core.addresses import ip_version
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway import refusals
from pairingd.world.gateway.adapter import MacOf, Record, nobody_records, unknown_mac
from pairingd.world.gateway.grant import RENEWAL_GAP_S, external_host, is_of_the_lan
from pairingd.world.gateway.listeners import listens
from pairingd.world.gateway.upnp import problems, rows, ssdp
from pairingd.world.gateway.upnp.actions import Forward
from pairingd.world.gateway.upnp.adding import Adding
from pairingd.world.gateway.upnp.finder import Finder
from pairingd.world.gateway.upnp.igd import DONE, SILENT, Igd, Unread
from pairingd.world.gateway.upnp.location import location_host
from pairingd.world.gateway.upnp.soap import NO_SUCH_ENTRY

_JOB_TIMEOUT_S = 45.0  # for all answers of one job, from a router that is slow with each
_FRESH_S = 10.0  # an external address this old is not requested again
_MAX_LEASE_S = 604800  # a week, WANIPConnection:2 §2.3.18
_OF_THIS_GRANT = frozenset({"permanent", "unshown", "up_since"})
_START_TOLERANCE_S = 10  # how far the start that a router reports may vary


class UpnpAdapter:
    """`ssdp_port`, `schedule`, `platform` and `job_timeout_s` are for tests."""

    protocol = "upnp"

    def __init__(
        self,
        settings: config.Router,
        clock: Callable[[], float],
        mac_of: MacOf = unknown_mac,
        *,
        ssdp_port: int = ssdp.PORT,
        schedule: ssdp.Schedule = ssdp.SCHEDULE,
        platform: str = sys.platform,
        job_timeout_s: float = _JOB_TIMEOUT_S,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._job_timeout_s = job_timeout_s
        self._finder = Finder(
            mac_of,
            settings.description_url,
            ssdp_port=ssdp_port,
            schedule=schedule,
            platform=platform,
        )

    async def probe(self, network: Network) -> bool:
        try:
            async with asyncio.timeout(self._job_timeout_s):
                await self._finder.survey(network)
        except TimeoutError:
            raise refusals.silent_upnp() from None
        except GatewayError as error:
            if error.code != "no-gateway" or self._settings.description_url:
                raise  # the user's URL may be wrong
            return False
        return True

    async def open(
        self,
        requested: Mapping,
        lease: int,
        *,
        exact: bool = True,  # noqa: ARG002 - a port is given or refused
        record: Record = nobody_records,
    ) -> Mapping:
        return await self._add(requested, lease, record, _FRESH_S)

    async def renew(
        self, mapping: Mapping, lease: int, *, record: Record = nobody_records
    ) -> Mapping:
        return await self._add(mapping, lease, record)

    async def check(self, mapping: Mapping, *, quick: bool = False) -> Presence:
        try:
            async with self._igd(mapping) as igd:
                return await self._seen(igd, mapping, quick=quick)
        except Unread:
            return Presence.UNKNOWN
        except GatewayError as error:
            if error.code == "local-network-denied":
                raise
            return Presence.UNKNOWN

    async def close(self, mapping: Mapping) -> None:
        if mapping.unshown and mapping.is_over(self._clock()):
            return  # another mapping there by now would look like ours
        try:
            async with self._igd(mapping) as igd:
                await self._delete(igd, mapping)
        except Unread as unread:
            raise problems.unread(mapping.external_port, unread.code) from None

    async def sweep(self, network: Network, keep: Collection[int]) -> int:
        """Remove all mappings that earlier daemons of this machine left; returns how many.

        Raises GatewayError like `probe`. Looks at 200 rows.
        """
        swept = 0
        async with self._asking(network) as igd:
            table, _ = await igd.rows()
            for row in table:
                if row.external_port not in keep and await _is_left_over(row, network.address):
                    swept += await igd.delete(row.external_port) == DONE
        return swept

    async def learn(self, network: Network, locations: Sequence[str]) -> None:
        """As Finder.learn."""
        try:
            async with asyncio.timeout(self._job_timeout_s):
                await self._finder.learn(network, locations)
        except TimeoutError:
            raise refusals.silent_upnp() from None

    async def _add(
        self, mapping: Mapping, lease: int, record: Record, fresh_s: float = 0.0
    ) -> Mapping:
        permanent = mapping.permanent or self._settings.allow_permanent
        async with self._igd(mapping) as igd:
            requested = 0 if mapping.permanent else lease
            adding = Adding(igd, mapping, requested, record, permanent=permanent)
            made, row, is_permanent = await adding.run()
            up_since = 0
            with contextlib.suppress(OSError):  # it is made; the router fell silent since
                await igd.external_address(fresh_s)
                if row is None and (uptime := await igd.uptime()):  # some always report 0
                    up_since = int(self._clock()) - uptime
        # A mapping without an end, or with an unlisted one, is renewed as if it had our lease.
        shown_lease = row.lease if row else 0
        if 0 < shown_lease < RENEWAL_GAP_S:  # miniupnpd reports 4 s of a lease of 5
            raise refusals.too_short(shown_lease)
        granted = min(shown_lease or lease, _MAX_LEASE_S)
        handle = {name: value for name, value in made.handle if name not in _OF_THIS_GRANT}
        handle |= {"url": igd.url, "lease": str(granted)}
        handle |= {"permanent": "yes"} if is_permanent else {}
        handle |= {} if row else {"unshown": "yes", "up_since": str(up_since)}
        now = self._clock()
        return replace(
            made,
            external_host=_external_host(igd.external, igd.url, made),
            handle=tuple(handle.items()),
            granted_until=now + granted,
            renew_at=now + max(granted / 2, RENEWAL_GAP_S),
        )

    async def _seen(self, igd: Igd, mapping: Mapping, *, quick: bool) -> Presence:
        row = await igd.look(mapping.external_port)
        if row is None:
            if not mapping.unshown or await self._has_restarted(igd, mapping):
                return Presence.ABSENT
        elif not rows.is_ours(row, mapping):
            return Presence.FOREIGN
        elif not rows.is_right(row, mapping) or not (row.enabled or mapping.unshown):
            return Presence.ABSENT
        if quick:
            return Presence.PRESENT
        outside = _external_host(await igd.external_address(), igd.url, mapping)
        if outside and outside != mapping.external_host:
            return Presence.ABSENT  # a mapping for the earlier address is useless
        return Presence.PRESENT

    async def _has_restarted(self, igd: Igd, mapping: Mapping) -> bool:
        before = int(dict(mapping.handle).get("up_since", "0"))
        if not before or (uptime := await igd.uptime()) is None:
            return False
        return self._clock() - uptime > before + _START_TOLERANCE_S

    async def _delete(self, igd: Igd, mapping: Mapping) -> None:
        port = mapping.external_port
        row, shown = await self._row(igd, mapping)
        if row is None and shown:
            return
        if row is not None and not rows.is_ours(row, mapping):
            return
        code = await igd.delete(port)
        if code == SILENT:
            raise refusals.silent_upnp()
        if not shown and code not in (DONE, NO_SUCH_ENTRY):
            raise problems.kept(port, code)
        row, _ = await self._row(igd, mapping)
        if row is not None and rows.is_ours(row, mapping):
            raise problems.kept(port, code)

    async def _row(self, igd: Igd, mapping: Mapping) -> tuple[Forward | None, bool]:
        """What the router shows at its port, and whether it would show the mapping. Raises Unread.

        A row that could never be read is ours if the port was free at the request.
        """
        try:
            return await igd.look(mapping.external_port), not mapping.unshown
        except Unread:
            if not rows.never_read(mapping) or mapping.is_over(self._clock()):
                raise
            return None, False

    @contextlib.asynccontextmanager
    async def _igd(self, mapping: Mapping) -> AsyncIterator[Igd]:
        recorded = Network.of(mapping.network)
        network = replace(recorded, address=mapping.source, gateway=mapping.gateway)
        async with self._asking(network, dict(mapping.handle).get("url", "")) as igd:
            yield igd

    @contextlib.asynccontextmanager
    async def _asking(self, network: Network, url: str = "") -> AsyncIterator[Igd]:
        """The gateway; if it falls silent in this job, the next job searches for it again.

        Raises GatewayError as Finder.find does, and `router-silent`.
        """
        try:
            async with asyncio.timeout(self._job_timeout_s):
                yield await self._finder.find(network, url)
        except OSError:
            self._finder.forget(network)
            raise refusals.silent_upnp() from None
        except (GatewayError, Unread) as failure:
            # Its control URL may have changed at a restart.
            if isinstance(failure, Unread) or failure.code == "router-failed":
                self._finder.forget(network)
            raise


async def _is_left_over(row: Forward, address: str) -> bool:
    made_by_us = rows.may_be_left_over(row, address)
    return made_by_us and not await listens(row.client, row.internal_port)


def _external_host(address: str, url: str, mapping: Mapping) -> str:
    """The external address that the router reports; "" if it cannot be true."""
    if ip_version(address) != 4 or is_of_the_lan(address, mapping):
        return ""
    return external_host(address, location_host(url) or "")
