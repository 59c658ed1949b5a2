from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import answers, report
from pairingd.replies.parts import Parts


async def run(parts: Parts, _: params.Nothing) -> results.Receipts:
    return {
        "sessions": [
            report.receipt_line(session) async for session in answers.sessions(parts.store)
        ],
    }
