from __future__ import annotations

from pairingd import report
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, _: params.Nothing) -> results.Waiting:
    return {"visitors": [report.visitor(visitor) for visitor in parts.access.approvals.waiting]}
