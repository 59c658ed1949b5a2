from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import report
from pairingd.replies.parts import Parts


async def run(parts: Parts, _: params.Nothing) -> results.Waiting:
    live = {invitation.id: invitation for invitation in parts.intent.state.live}
    return {
        "visitors": [
            report.visitor(visitor, live[visitor.invitation])
            for visitor in parts.access.approvals.waiting
            if visitor.invitation in live
        ]
    }
