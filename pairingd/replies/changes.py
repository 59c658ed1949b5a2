"""Applies a verb's event to the intent, and waits until the lanes have carried it out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pairingd.core.events import Event, Extend
from pairingd.errors import PairingError
from pairingd.protocol import results
from pairingd.replies import answers, report
from pairingd.replies.parts import Parts
from pairingd.replies.waits import TMUX_TIMEOUT_S, wait_for_closing


async def change(parts: Parts, event: Event, ids: Sequence[str]) -> results.Changed:
    """What could not be done or saved yet is a warning, because the change holds. It is an error if
    a connected guest can still use what was taken away.

    A cancellation does not undo the change: then this raises PairingError `goes-on`.
    """
    parts.intent.apply(event)
    try:
        return await _followed(parts, event, ids)
    except asyncio.CancelledError:
        raise PairingError(
            "goes-on",
            "this command was stopped; the change holds, and pairingd carries it out",
            "pairctl status shows what is left",
        ) from None


async def _followed(parts: Parts, event: Event, ids: Sequence[str]) -> results.Changed:
    settled = await parts.access.settle(TMUX_TIMEOUT_S)
    failure = parts.access.error if settled else parts.tmux.unknown()
    unsaved = parts.intent.unsaved
    troubles = {trouble.code: trouble for trouble in (failure, unsaved) if trouble}
    warnings = [report.problem(trouble) for trouble in troubles.values()]
    if parts.door.port is None:
        await wait_for_closing(parts)
        warnings += answers.unclosed_mappings(parts)
    changed = answers.invitations(parts, ids)
    inside = any(invitation["connections"] for invitation in changed)
    undone = failure if not unsaved or (failure and failure.code != unsaved.code) else None
    if settled and undone and inside and not isinstance(event, Extend):
        raise undone
    return {"invitations": changed, "warnings": warnings}
