from __future__ import annotations

from pairingd.core.events import Revoke
from pairingd.core.guest import few
from pairingd.protocol import params, results
from pairingd.replies.changes import change
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Revoke) -> results.Changed:
    ids = tuple(parts.intent.live(guest).id for guest in few(given.guests))
    return await change(parts, Revoke(ids), ids)
