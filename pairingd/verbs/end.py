from __future__ import annotations

from pairingd.changes import change
from pairingd.core.events import End
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, _: params.Nothing) -> results.Changed:
    return await change(parts, End(), [invitation.id for invitation in parts.intent.state.live])
