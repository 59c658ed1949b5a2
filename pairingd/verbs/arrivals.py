from __future__ import annotations

from pairingd import answers
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, _: params.Nothing) -> results.Arrivals:
    own = answers.own_host(parts.settings.config.door)
    return {"count": await parts.arrivals.count([(own, 0), *answers.places(parts)])}
