"""What adapters make of a gateway's yes."""

from __future__ import annotations

from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.model import Mapping
from pairingd.core.records import replace
from pairingd.world.gateway import refusals

_LONGEST = 86400  # seconds believed of a grant, RFC 6887 §7.2
RENEWAL_GAP = 4.0  # seconds from one request to the next at the least, RFC 6887 §11.2.1
_SHORTEST = 5  # seconds of a grant that can be renewed in time


def believed(lifetime: int) -> int:
    """The granted lifetime in seconds. Raises GatewayError `router-lied` for one of no use."""
    if lifetime == 0:
        raise refusals.dropped()
    if lifetime < _SHORTEST:
        raise refusals.too_short(lifetime)
    return min(lifetime, _LONGEST)


def granted(
    wanted: Mapping,
    endpoint: tuple[str, int],
    lifetime: int,
    asked_at: float,
    renewal: float,
) -> Mapping:
    """`wanted` as it stands now. `asked_at` is before the request: no lease is longer than that."""
    host, port = endpoint
    return replace(
        wanted,
        external_host="" if external_class(host) is ExternalClass.BOGUS else host,
        external_port=port,
        granted_until=asked_at + lifetime,
        renew_at=asked_at + max(renewal, RENEWAL_GAP),
    )
