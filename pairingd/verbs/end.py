from __future__ import annotations

from pairingd.core.events import End
from pairingd.protocol import params, results
from pairingd.replies.changes import change
from pairingd.replies.parts import Parts


async def run(parts: Parts, _: params.Nothing) -> results.Changed:
    return await change(parts, End(), [invitation.id for invitation in parts.intent.state.live])
