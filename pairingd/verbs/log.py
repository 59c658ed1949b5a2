from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import answers, report
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Log) -> results.Log:
    lines = answers.paced(parts.store.unread_history(given.after, given.limit))
    return {"events": [report.event(line) async for line in lines]}


async def watch(parts: Parts, given: params.Log) -> results.Log:
    """Without a pause, in which a new event could overtake these."""
    return {
        "events": [report.event(line) for line in parts.store.history(given.after, given.limit)]
    }
