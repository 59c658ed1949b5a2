"""Requests one mapping of a router and finds the outcome: made, not made, or unknown."""

from __future__ import annotations

import asyncio

from pairingd.core.model import Mapping
from pairingd.errors import GatewayError
from pairingd.world.gateway import refusals
from pairingd.world.gateway.adapter import Record
from pairingd.world.gateway.listeners import listens
from pairingd.world.gateway.upnp import problems, rows
from pairingd.world.gateway.upnp.actions import Forward
from pairingd.world.gateway.upnp.igd import DONE, NO_CODE, SILENT, Igd, Unread
from pairingd.world.gateway.upnp.soap import ACTION_FAILED, INVALID_ARGS, ONLY_PERMANENT

_HOUR = 3600
_BUSY_S = 2.0  # how long a busy router may fail at everything
_TABLE_S = 0.3  # after which some routers have filled their table
_LATE_TABLE_S = 2.0  # and after which the last of them
_PERMANENT = "set [router] allow_permanent = true"
# Not conclusive: some routers answer so and have made it.
_UNCERTAIN = frozenset({ACTION_FAILED, NO_CODE, SILENT})


class Adding:
    """Adds or renews `mapping`, never over one that is not ours, and believes only what it sees.

    `permanent`: accepts a lease without an end.
    """

    def __init__(
        self, igd: Igd, mapping: Mapping, lease: int, record: Record, *, permanent: bool
    ) -> None:
        self._igd = igd
        self._mapping = mapping
        self._lease = lease
        self._record = record
        self._permanent = permanent

    async def run(self) -> tuple[Mapping, Forward | None, bool]:
        """The mapping as it can be recognised, its row if shown, whether it has no end.

        Raises GatewayError, which says whether something may be on the router (refusals), Unread
        if nothing was requested, and OSError.
        """
        before = await self._before()
        code = await self._request()
        after = await self._after(code)
        if after is None and code == DONE and self._may_lack_an_end():
            # DD-WRT drops every lease at once, and keeps a mapping without one.
            self._lease = 0
            code = await self._send()
            after = await self._after(code)
        if before is not None and after is not None and self._is_unrenewed(before, after, code):
            if code != DONE:
                raise refusals.may_be_made(await self._refused(code))
            after = await self._re_created()
        if after is None:
            after = await self._unseen(code)
        if after is None:
            return self._mapping, None, self._lease == 0
        if not rows.is_made(after, self._mapping, granted=code == DONE):
            raise refusals.nothing_made(problems.taken(self._port, after.client))
        self._mapping = rows.as_shown(self._mapping, after)
        if not rows.is_right(after, self._mapping):
            await self._undo_lie()
        # A mapping that the router has disabled is no better than one that it does not list.
        return self._mapping, after if after.enabled else None, self._lease == 0

    @property
    def _port(self) -> int:
        return self._mapping.external_port

    async def _before(self) -> Forward | None:
        """Our own mapping, None for a free port. If this raises, nothing was requested yet."""
        try:
            before = await self._igd.look(self._port)
        except Unread as unread:
            raise refusals.nothing_made(problems.unread(self._port, unread.code)) from None
        if before is not None and not rows.is_ours(before, self._mapping):
            # On a second router our client address is the first router's, for all behind it.
            if (
                self._mapping.beyond
                or not rows.may_be_left_over(before, self._mapping.internal_host)
                or await self._is_used(before)
            ):
                raise refusals.nothing_made(problems.taken(self._port, before.client))
            await self._igd.delete(self._port)
            before = None
        if before is None:
            self._mapping = rows.on_a_free_port(self._mapping)
            self._record(self._mapping)
        return before

    async def _is_used(self, left_over: Forward) -> bool:
        """Whether another daemon of this machine may use it."""
        if left_over.internal_port == self._mapping.internal_port:
            return False  # of an earlier request, which the router carried out late
        return await listens(left_over.client, left_over.internal_port)

    async def _request(self) -> int:
        code = await self._send()
        if code == ACTION_FAILED and (self._igd.external or await self._igd.external_address()):
            # A busy router answers so for 1 to 2 s; one without an external address always.
            await asyncio.sleep(_BUSY_S)
            code = await self._send()
        if code == INVALID_ARGS and self._lease not in (0, _HOUR):
            self._lease = _HOUR
            code = await self._send()
        if code in (INVALID_ARGS, ONLY_PERMANENT) and self._lease and self._permanent:
            self._lease = 0
            code = await self._send()
        return code

    async def _send(self) -> int:
        return await self._igd.add(rows.requested(self._mapping, self._lease))

    async def _after(self, code: int) -> Forward | None:
        """What is on the port now. If this raises, our mapping may be there."""
        try:
            row = await self._igd.look(self._port)
            if row is None and (code == DONE or code in _UNCERTAIN):
                await asyncio.sleep(_TABLE_S)
                row = await self._igd.look(self._port)
        except Unread as unread:
            raise refusals.may_be_made(problems.unread(self._port, unread.code)) from None
        return row

    def _may_lack_an_end(self) -> bool:
        return bool(self._lease) and self._permanent and not self._mapping.unshown

    def _is_unrenewed(self, before: Forward, after: Forward, code: int) -> bool:
        """Whether adding over our own mapping left its lease to run out (old miniupnpd)."""
        if code != DONE:
            return after.lease <= before.lease
        granted = int(dict(self._mapping.handle).get("lease", "0"))
        return 0 < after.lease <= before.lease < 0.9 * granted

    async def _re_created(self) -> Forward | None:
        await self._igd.delete(self._port)
        code = await self._send()
        after = await self._after(code)
        if after is None and code != DONE:
            raise await self._refused(code)
        return after

    async def _unseen(self, code: int) -> Forward | None:
        """The row of a mapping that the router reports made but did not list in time; None if it
        lists it nowhere (OPNsense). If it can be deleted, it was made.
        """
        if code != DONE:
            raise await self._refused(code)
        if self._mapping.unshown:
            return None
        if await self._igd.delete(self._port) != DONE:
            return await self._late()
        if second_code := await self._send():
            raise await self._refused(second_code)
        return None

    async def _late(self) -> Forward:
        """Its row. Delete what the router has made of the request at other ports."""
        await asyncio.sleep(_LATE_TABLE_S)
        table, _ = await self._igd.rows()
        for row in table:
            if row.external_port == self._port:
                return row
        elsewhere = [row.external_port for row in table if rows.has_token(row, self._mapping)]
        for port in elsewhere:
            await self._igd.delete(port)
        raise refusals.nothing_made(
            refusals.silently_replaced(self._port) if elsewhere else refusals.dropped(_PERMANENT)
        )

    async def _refused(self, code: int) -> GatewayError:
        if code == SILENT:
            return refusals.may_be_made(refusals.silent_upnp())
        if code in (INVALID_ARGS, ONLY_PERMANENT) and self._lease and not self._permanent:
            return refusals.nothing_made(problems.permanent_only(code, self._port))
        external = self._igd.external
        if code == ACTION_FAILED:
            external = await self._igd.external_address()
        return refusals.nothing_made(problems.refused(code, self._port, external))

    async def _undo_lie(self) -> None:
        """Delete the mapping if possible, and raise GatewayError `router-lied`."""
        self._record(self._mapping)
        await self._igd.delete(self._port)
        try:
            left = await self._igd.look(self._port)
        except Unread:
            raise refusals.may_be_made(problems.lied(self._port, kept=True)) from None
        gone = left is None or not rows.is_ours(left, self._mapping)
        error = problems.lied(self._port, kept=not gone)
        raise refusals.nothing_made(error) if gone else refusals.may_be_made(error)
