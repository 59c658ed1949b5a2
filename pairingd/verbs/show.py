from __future__ import annotations

from pairingd import answers
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, given: params.Show) -> results.Invited:
    return await answers.invited(parts, [parts.intent.live(given.guest).id], [])
