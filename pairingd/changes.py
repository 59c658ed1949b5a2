"""A change of the intent that a verb answers for: it returns when the world has followed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pairingd import answers, report
from pairingd.core.events import Event, Extend
from pairingd.core.model import Mapping
from pairingd.core.ways import unclosed
from pairingd.errors import PairingError
from pairingd.parts import Parts
from pairingd.protocol import results
from pairingd.waits import wait_for_closing


async def change(parts: Parts, event: Event, ids: Sequence[str]) -> results.Changed:
    """What could not be done or saved yet is a warning, for the change holds; but an error where
    somebody who is inside may still use what was taken away.

    It cannot be cancelled: raises PairingError `goes-on` to say that it holds.
    """
    ways = [lane.current for lane in (parts.mapping, parts.pinhole)]
    parts.intent.apply(event)
    try:
        return await _followed(parts, event, ids, ways)
    except asyncio.CancelledError:
        raise PairingError(
            "goes-on",
            "this holds already, and pairingd goes on to carry it out",
            "pairctl status shows what is left",
        ) from None


async def _followed(
    parts: Parts, event: Event, ids: Sequence[str], ways: list[Mapping | None]
) -> results.Changed:
    await parts.access.settle()
    failure, unsaved = parts.access.error, parts.intent.unsaved
    troubles = {one.code: one for one in (failure, unsaved) if one}
    warnings = [report.problem(one) for one in troubles.values()]
    if ids and parts.door.port is None:
        await wait_for_closing(parts)
        left = {one.id for one in parts.store.mappings()}  # of those not seen to be gone
        warnings += [report.problem(unclosed(one)) for one in ways if one and one.id in left]
    changed = answers.invitations(parts, ids)
    inside = any(one["connections"] for one in changed)
    undone = failure if not unsaved or (failure and failure.code != unsaved.code) else None
    if undone and inside and not isinstance(event, Extend):
        raise undone
    return {"invitations": changed, "warnings": warnings}
