from __future__ import annotations

from pairingd.core.rules import used_up
from pairingd.protocol import params, results
from pairingd.replies import answers
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Show) -> results.Invited:
    invitation = parts.intent.live(given.guest)
    if invitation.rights.used:
        raise used_up(invitation.guest)
    return await answers.invited(parts, [invitation.id], [])
