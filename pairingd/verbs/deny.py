from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import answers
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Decide) -> results.Changed:
    """Raises Refused `not-waiting`, and nothing has changed."""
    invitation = parts.intent.live(given.guest)
    parts.access.approvals.decide(invitation.guest, given.connection, approve=False)
    return {"invitations": answers.invitations(parts, [invitation.id]), "warnings": []}
