"""The mapping that a gateway has granted."""

from __future__ import annotations

from pairingd.core.addresses import ExternalClass, external_class, is_inside, parse_address
from pairingd.core.model import Mapping
from pairingd.core.records import replace
from pairingd.world.gateway import refusals

_MAX_LIFETIME_S = 86400  # believed of a grant, RFC 6887 §7.2
RENEWAL_GAP_S = 4.0  # seconds, at least, from one request to the next, RFC 6887 §11.2.1
_MIN_LIFETIME_S = 5  # of a grant that can be renewed in time


def believed(lifetime: int) -> int:
    """The granted lifetime in seconds. Raises GatewayError `router-lied` for a useless one."""
    if lifetime == 0:
        raise refusals.dropped()
    if lifetime < _MIN_LIFETIME_S:
        raise refusals.too_short(lifetime)
    return min(lifetime, _MAX_LIFETIME_S)


def external_host(address: str, near: str) -> str:
    """The address that a router reports, or "" if it can have none such outside. `near` is inside:
    a router that is itself on loopback (a demonstration, a test) may report such an address.
    """
    if external_class(address) is not ExternalClass.BOGUS:
        return address
    both = map(parse_address, (address, near))
    return address if all(inside and inside.is_loopback for inside in both) else ""


def is_of_the_lan(host: str, mapping: Mapping) -> bool:
    """Whether a router reports as external the address that it or our machine has inside."""
    return is_inside(host) and host in {mapping.gateway, mapping.internal_host}


def granted(
    requested: Mapping,
    endpoint: tuple[str, int],
    lifetime: int,
    asked_at: float,
    renewal: float,
) -> Mapping:
    """`requested` as granted. `asked_at` is before the request: no lease is longer than that."""
    host, port = endpoint
    bogus = external_class(host) is ExternalClass.BOGUS or is_of_the_lan(host, requested)
    return replace(
        requested,
        external_host="" if bogus else host,
        external_port=port,
        granted_until=asked_at + lifetime,
        renew_at=asked_at + max(renewal, RENEWAL_GAP_S),
    )
