from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import answers
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Show) -> results.Invited:
    return await answers.invited(parts, [parts.intent.live(given.guest).id], [])
