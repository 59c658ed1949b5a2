from __future__ import annotations

from pairingd.changes import change
from pairingd.core.events import Revoke
from pairingd.core.guest import few
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, given: params.Revoke) -> results.Changed:
    ids = tuple(parts.intent.live(guest).id for guest in few(given.guests))
    return await change(parts, Revoke(ids), ids)
