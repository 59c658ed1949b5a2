from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import report
from pairingd.replies.parts import Parts


async def run(parts: Parts, _: params.Nothing) -> results.Settings:
    return report.settings(parts.settings)
