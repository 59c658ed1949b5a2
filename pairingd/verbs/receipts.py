from __future__ import annotations

from pairingd import answers, report
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, _: params.Nothing) -> results.Receipts:
    return {
        "sessions": [
            report.receipt_line(session) async for session in answers.sessions(parts.store)
        ],
    }
