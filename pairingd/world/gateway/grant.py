"""What adapters make of a gateway's yes and no."""

from __future__ import annotations

from dataclasses import replace

from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.model import Mapping
from pairingd.errors import GatewayError

_LONGEST = 86400  # seconds believed of a grant, RFC 6887 §7.2
_RENEWAL_GAP = 4.0  # seconds from one request to the next at the least, RFC 6887 §11.2.1
_SHORTEST = 5  # seconds of a grant that can be renewed in time


def believed(lifetime: int) -> int:
    """The granted lifetime in seconds. Raises GatewayError `router-lied` for one of no use."""
    if lifetime == 0:
        raise dropped()
    if lifetime < _SHORTEST:
        raise too_short(lifetime)
    return min(lifetime, _LONGEST)


def granted(wanted: Mapping, host: str, lifetime: int, asked_at: float, renewal: float) -> Mapping:
    """`wanted` as it stands now. `asked_at` is before the request: no lease is longer than that."""
    return replace(
        wanted,
        external_host="" if external_class(host) is ExternalClass.BOGUS else host,
        granted_until=asked_at + lifetime,
        renew_at=asked_at + max(renewal, _RENEWAL_GAP),
    )


def dropped() -> GatewayError:
    return GatewayError(
        "router-lied",
        "the router says yes and drops the mapping at once",
        "update the router's firmware, or forward the port there by hand",
    )


def too_short(lifetime: int) -> GatewayError:
    return GatewayError(
        "router-lied",
        f"the router grants a mapping for {lifetime} s, too short a time to hold it",
        "update the router's firmware, or forward the port there by hand",
    )


def port_taken(port: int, why: str) -> GatewayError:
    return GatewayError(
        "port-taken",
        f"the router cannot give external port {port} ({why})",
        "choose another port with --port",
    )


def not_permitted(port: int, why: str) -> GatewayError:
    return GatewayError(
        "not-permitted",
        f"the router does not let this machine open or close port {port} ({why})",
        "allow this device to open ports in the router's settings, or choose a high --port",
    )


def failed(port: int, why: str) -> GatewayError:
    return GatewayError(
        "router-failed",
        f"the router failed to change port {port} ({why})",
        "restart the router, or forward the port there by hand",
    )


def not_spoken(protocol: str) -> GatewayError:
    return GatewayError(
        "no-gateway",
        f"the router does not speak {protocol}",
        "switch on UPnP (or PCP, NAT-PMP) in the router, or forward the port there by hand",
    )


def still_there(port: int) -> GatewayError:
    return GatewayError(
        "router-lied",
        f"the router keeps the mapping of port {port} that it was told to delete",
        "delete it in the router's settings",
    )


def unreadable() -> GatewayError:
    return GatewayError(
        "router-failed",
        "the router's answer could not be read",
        "restart the router; if that does not help, forward the port there by hand",
    )
