from __future__ import annotations

from pairingd import report
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, given: params.Log) -> results.Log:
    return {
        "events": [report.event(line) for line in parts.store.history(given.after, given.limit)]
    }
