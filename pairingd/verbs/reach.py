from __future__ import annotations

import errno
import sys

from pairingd.errors import GatewayError
from pairingd.protocol import params, results
from pairingd.replies import report
from pairingd.replies.parts import Parts
from pairingd.world.gateway.pxp import datagrams


async def run(parts: Parts, _: params.Nothing) -> results.Reach:
    """Send one datagram: an idle daemon sends none, so it cannot notice a denial by macOS."""
    if not parts.mapping.enabled:
        return {"gateway": None, "errno": None, "error": None}
    try:
        network = await parts.mapping.look_around()
    except GatewayError as refusal:
        return {"gateway": None, "errno": None, "error": report.problem(refusal)}
    gateway = network.gateway if network else ""
    refused = datagrams.send_one(gateway) if gateway else None
    if refused is None:
        return {"gateway": gateway or None, "errno": None, "error": None}
    return {
        "gateway": gateway,
        "errno": errno.errorcode.get(refused.errno or 0, str(refused.errno)),
        "error": report.problem(datagrams.explained(refused, gateway, sys.platform)),
    }
