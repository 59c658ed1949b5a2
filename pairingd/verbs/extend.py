from __future__ import annotations

from math import floor

from pairingd.core.events import Extend
from pairingd.errors import PairingError
from pairingd.protocol import params, results
from pairingd.replies.changes import change
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Extend) -> results.Changed:
    invitation = parts.intent.live(given.guest)
    if (given.seconds is None) == (given.until is None):
        raise PairingError(
            "bad-deadline", "name either a duration or a time", "pairctl extend GUEST 1h"
        )
    if given.until is not None:
        expires_at = floor(given.until.timestamp())
    else:
        expires_at = invitation.expires_at + (given.seconds or 0)
    max_ttl = parts.settings.config.guests.max_ttl
    return await change(parts, Extend(invitation.id, expires_at, max_ttl), [invitation.id])
