from __future__ import annotations

from pairingd.core.events import SetAccess
from pairingd.core.model import Access
from pairingd.protocol import params, results
from pairingd.replies.changes import change
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Role) -> results.Changed:
    invitation = parts.intent.live(given.guest)
    return await change(parts, SetAccess(invitation.id, Access(given.access)), [invitation.id])
