from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import answers
from pairingd.replies.parts import Parts


async def run(parts: Parts, _: params.Nothing) -> results.Arrivals:
    own = answers.own_host(parts.settings.config.door)
    return {"count": await parts.arrivals.count([(own, 0), *answers.places(parts)])}
