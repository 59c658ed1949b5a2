from __future__ import annotations

import os

from pairingd.protocol import params, results
from pairingd.replies.parts import Parts


async def run(parts: Parts, _: params.Nothing) -> results.Stopping:
    parts.request_stop()
    return {"pid": os.getpid()}
