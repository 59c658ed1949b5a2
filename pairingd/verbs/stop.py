from __future__ import annotations

import os

from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, _: params.Nothing) -> results.Stopping:
    parts.request_stop()
    return {"pid": os.getpid()}
