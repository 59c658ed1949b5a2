from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Ask) -> results.Answer:
    answer = await parts.access.approvals.ask(given.process)
    return {"approved": answer.approved, "text": answer.text}
