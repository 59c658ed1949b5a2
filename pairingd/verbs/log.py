from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import report
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Log) -> results.Log:
    return {
        "events": [report.event(line) for line in parts.store.history(given.after, given.limit)]
    }
