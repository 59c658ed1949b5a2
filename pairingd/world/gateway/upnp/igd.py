"""An Internet Gateway Device that has described itself, and the WAN service of it that is used."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from math import inf

from msgspec import Struct

from pairingd.core.addresses import is_public, parse_address
from pairingd.world.gateway import refusals
from pairingd.world.gateway.upnp import actions, exchange, soap
from pairingd.world.gateway.upnp.actions import UDP, Forward, Status
from pairingd.world.gateway.upnp.description import Description, describe
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.problems import no_igd, offhost, unreachable
from pairingd.world.gateway.upnp.soap import Call, Fault, Result, Service

BEST = 2  # of Igd.worth
_MAX_ROWS = 200
_UNKNOWN_STATUS = Status("", 0)
_CONNECTED = frozenset({"Connected", "Up"})

# The result of an action: 0 for done, or a code that no router can send for what has no code.
DONE, NO_CODE, SILENT = 0, refusals.NO_CODE, refusals.NO_CODE + 1


class Unread(Exception):
    """Who holds a port is unknown. `code` is UPnP's, 0 if the router gave none."""

    def __init__(self, code: int) -> None:
        super().__init__(f"UPnP error {code}" if code else "its answer cannot be read")
        self.code = code


class Igd(Struct):
    """The WAN service that gets requests from our address `source`, and what it reported of itself.

    Every method raises OSError if the router is silent.
    """

    url: str
    service: Service
    source: str
    status: str = ""
    external: str = ""
    external_at: float = -inf  # when it was reported, by the steady clock
    record: exchange.Record | None = None

    @property
    def is_up(self) -> bool:
        addressed = bool(self.external) and not self.external.startswith("0.")
        return addressed or self.status in _CONNECTED

    @property
    def worth(self) -> int:
        """For choosing: BEST is connected and public; then connected; then any."""
        if not self.is_up or self.status not in {"", *_CONNECTED}:
            return 0
        return BEST if is_public(self.external) else 1

    async def survey(self) -> None:
        """Some routers never answer to one of the two."""
        await self.external_address()
        with contextlib.suppress(OSError):
            self.status = (await self._known(actions.status, _UNKNOWN_STATUS)).connection

    async def external_address(self, fresh_s: float = 0.0) -> str:
        """As the router wrote it; empty if it does not report it. A report at most `fresh_s` old
        is used once.
        """
        if self.external and time.monotonic() - self.external_at < fresh_s:
            self.external_at = -inf
        else:
            self.external = await self._known(actions.external_address, "")
            self.external_at = time.monotonic()
        return self.external

    async def uptime(self) -> int | None:
        """In seconds; None if the router does not report its status."""
        status = await self._known(actions.status, _UNKNOWN_STATUS)
        return None if status is _UNKNOWN_STATUS else status.uptime

    async def look(self, port: int) -> Forward | None:
        """The forward of the external TCP port, None if there is none. Raises Unread."""
        try:
            row = await self._ask(actions.forward_of(self.service, port))
        except Fault as fault:
            if fault.code in soap.END_OF_TABLE:
                return None
            code = fault.code
        else:
            return None if _is_empty(row) else row
        # It lacks the action, or fails now. Its table answers too, if all of it is read.
        rows, whole = await self.rows()
        listed = next((row for row in rows if row.external_port == port), None)
        if listed is None and not whole:
            raise Unread(code)
        return listed

    async def rows(self) -> tuple[list[Forward], bool]:
        """The TCP rows of the table as far as they can be read, and whether these are all."""
        tcp_rows: list[Forward] = []
        for index in range(_MAX_ROWS):
            try:
                row = await self._ask(actions.forward_at(self.service, index))
            except Fault as fault:
                return tcp_rows, fault.code in soap.END_OF_TABLE
            if row.protocol.upper() != UDP:  # "tcp", "6", "TCP/UDP"
                tcp_rows.append(row)
        return tcp_rows, False

    async def add(self, forward: Forward) -> int:
        """DONE, UPnP's code for the refusal, NO_CODE, or SILENT. Only `look` shows the result."""
        return await self._done(actions.add_forward(self.service, forward))

    async def delete(self, port: int) -> int:
        """Returns the same."""
        return await self._done(actions.delete_forward(self.service, port))

    async def _done(self, call: Call[None]) -> int:
        try:
            await self._ask(call)
        except Fault as fault:
            return fault.code or NO_CODE
        except OSError:
            return SILENT
        return DONE

    async def _known(self, action: Callable[[Service], Call[Result]], unknown: Result) -> Result:
        """`unknown` if the service lacks the action, which is no failure."""
        try:
            return await self._ask(action(self.service))
        except Fault:
            return unknown

    async def _ask(self, call: Call[Result]) -> Result:
        """Raises Fault without a code for an answer that cannot be read."""
        try:
            return await exchange.ask(call, self.source, self.record)
        except BadAnswer:
            raise Fault(0) from None


def _is_empty(row: Forward) -> bool:
    """Some answer so for a port that is free: a row without values, or of zeros."""
    client = parse_address(row.client)
    nobody = client.is_unspecified if client else not row.client
    return nobody and not row.internal_port


async def connect(url: str, source: str, platform: str = sys.platform) -> Igd:
    """The best WAN service there.

    Raises GatewayError `no-gateway`, `router-lied` (it names a service elsewhere), `router-silent`
    or `local-network-denied`.
    """
    try:
        description = await exchange.ask(describe(await exchange.by_address(url)), source)
    except BadAnswer:
        raise no_igd(url) from None
    except OSError as error:
        raise unreachable(url, error, platform) from None
    if description.names_wan_services_elsewhere:
        raise offhost(url)
    if not description.wan_services:
        raise no_igd(url)
    try:
        return await choose(description, source)
    except OSError:
        raise refusals.silent_upnp() from None


async def choose(
    description: Description, source: str, record: exchange.Record | None = None
) -> Igd:
    """The best of its WAN services: one of a provider's own network may come before the internet's.

    Raises OSError if none of them answers.
    """
    answering: list[Igd] = []
    for service in description.wan_services:
        igd = Igd(description.url, service, source, record=record)
        try:
            await igd.survey()
        except OSError:
            continue
        answering.append(igd)
        if igd.worth == BEST:
            break
    if not answering:
        raise TimeoutError("no WAN service answers")
    return max(answering, key=lambda igd: (igd.worth, igd.is_up, bool(igd.status)))
