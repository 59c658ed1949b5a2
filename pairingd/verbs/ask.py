from __future__ import annotations

from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, given: params.Ask) -> results.Answer:
    answer = await parts.access.approvals.ask(given.process)
    return {"approved": answer.approved, "text": answer.text}
