"""Addresses: their notation, and whether guests can reach a router's external one."""

from __future__ import annotations

import ipaddress
from enum import StrEnum

from pairingd.core.refusal import Refused
from pairingd.core.text import quoted

# Behind the provider's NAT: RFC 6598 shared space, and the DS-Lite range of RFC 6333 §5.7.
_CARRIER_NETWORKS = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("192.0.0.0/29"))

_PRIVATE_NETWORKS = tuple(  # RFC 1918
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
)
# Never the source of a packet from the internet: RFC 1122 §3.2.1.3, 1918, 3927, 6598, 4193.
_NOT_ON_THE_INTERNET = (
    *(*_PRIVATE_NETWORKS, _CARRIER_NETWORKS[0]),
    *map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
            *("::/8", "fc00::/7", "fe80::/10", "ff00::/8"),
        ),
    ),
)
_FORMER_CLASS_E = ipaddress.ip_network("240.0.0.0/4")


class ExternalClass(StrEnum):
    """Only `public` is reachable from the internet; with the others an endpoint stays unproven."""

    PUBLIC = "public"
    PRIVATE = "private"  # another router is in front of this one
    CGNAT = "cgnat"  # the provider shares one address among many customers
    BOGUS = "bogus"  # no address a router can have outside


def parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address; None if `host` is none, such as a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def ip_version(host: str) -> int:
    """4 or 6; 0 for a name."""
    address = parse_address(host)
    return address.version if address else 0


def is_outsider(peer: str, internal_host: str, external_host: str) -> bool:
    """Whether a connection from `peer` to us at `internal_host` has come over the internet.

    It must have our family and not come from our own network, whose router may send connections
    back with its own `external_host` as source (hairpin).
    """
    if not is_public(peer) or peer in {internal_host, external_host}:
        return False
    peer_address, own_address = ipaddress.ip_address(peer), ipaddress.ip_address(internal_host)
    if peer_address.version != own_address.version:
        return False
    return peer_address.version == 4 or peer_address.packed[:8] != own_address.packed[:8]


def home_block(host: str) -> str:
    """Return the RFC 1918 block that holds the address, or ""."""
    return next((str(block) for block in _PRIVATE_NETWORKS if _is_in(host, block)), "")


def is_shared(host: str) -> bool:
    """Whether the address is in the shared space behind a provider's NAT (RFC 6598)."""
    return _is_in(host, _CARRIER_NETWORKS[0])


def is_inside(host: str) -> bool:
    """Whether a router with this external address has another one in front of it."""
    return bool(home_block(host)) or is_shared(host)


def _is_in(host: str, block: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    address = parse_address(host)
    return address is not None and address in block


def may_be_public(host: str) -> bool:
    """True also for a name, as its address is not known here."""
    return not ip_version(host) or is_public(host)


def is_public(host: str) -> bool:
    return external_class(host) is ExternalClass.PUBLIC


def is_dialable(host: str) -> bool:
    """Whether packets over the internet can have this address. Less strict than the registry of
    special addresses: test networks use the documentation addresses.
    """
    address = parse_address(host)
    return (
        address is not None
        and "%" not in host
        and not any(address in network for network in _NOT_ON_THE_INTERNET)
    )


def guest_address(text: str) -> str:
    """Parse a guest's public address into its usual notation. Raises Refused `bad-address`."""
    try:
        address = str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise Refused(
            "bad-address",
            f"not an IP address: {quoted(text)}",
            "--from takes the guest's public address, such as 198.51.100.1",
        ) from None
    if not is_dialable(address):
        raise Refused(
            "bad-address",
            f"{address} is not an address on the internet",
            "--from takes the guest's public address; their router's status page shows it",
        )
    return address


def external_class(host: str) -> ExternalClass:
    """Return the class of a router's external address; anything but an IP address is bogus."""
    address = parse_address(host)
    if address is None:
        return ExternalClass.BOGUS
    if any(address in network for network in _CARRIER_NETWORKS):
        return ExternalClass.CGNAT
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return ExternalClass.BOGUS
    if address.is_link_local or address in _FORMER_CLASS_E:
        return ExternalClass.BOGUS
    return ExternalClass.PUBLIC if address.is_global else ExternalClass.PRIVATE
