"""Addresses: how they are written, and what a router's external one is worth to a guest."""

from __future__ import annotations

import ipaddress
from enum import StrEnum

# RFC 6598 shared space, and the DS-Lite range of RFC 6333 §5.7: the provider translates again.
_CARRIER = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("192.0.0.0/29"))

_HOME = tuple(  # RFC 1918
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
)
# Addresses that no packet from the internet comes from: RFC 1122 §3.2.1.3, 1918, 3927, 6598, 4193.
_NOT_ON_THE_INTERNET = (
    *(*_HOME, _CARRIER[0]),
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
    """Only `public` can be reached from the internet; the others leave the way in unproven."""

    PUBLIC = "public"
    PRIVATE = "private"  # another router stands in front of this one
    CGNAT = "cgnat"  # the provider shares one address among many customers
    BOGUS = "bogus"  # no address a router can have outside


def bracketed(host: str) -> str:
    """As it stands before a port: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def ip_version(host: str) -> int:
    """4 or 6; 0 for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0


def is_outsider(peer: str, internal_host: str, external_host: str = "") -> bool:
    """Whether a connection from `peer` to us at `internal_host` has come over the internet.

    By its family, and not from our own network: there a router may turn connections around in the
    name of its own `external_host` (hairpin).
    """
    if not is_public(peer) or peer in {internal_host, external_host}:
        return False
    theirs, ours = ipaddress.ip_address(peer), ipaddress.ip_address(internal_host)
    if theirs.version != ours.version:
        return False
    return theirs.version == 4 or theirs.packed[:8] != ours.packed[:8]


def home_block(host: str) -> str:
    """The private block of RFC 1918 that the address is in; "" for any other."""
    return next((str(block) for block in _HOME if _is_in(host, block)), "")


def is_shared(host: str) -> bool:
    """Whether the provider shares one public address among several such (RFC 6598)."""
    return _is_in(host, _CARRIER[0])


def is_inside(host: str) -> bool:
    """Whether a router with this address outside has another one in front of it."""
    return bool(home_block(host)) or is_shared(host)


def _is_in(host: str, block: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in block
    except ValueError:
        return False


def may_be_public(host: str) -> bool:
    """Also a name: what it stands for is not known here."""
    return not ip_version(host) or is_public(host)


def is_public(host: str) -> bool:
    return external_class(host) is ExternalClass.PUBLIC


def is_dialable(host: str) -> bool:
    """Whether it is an address that packets over the internet can have. Not as strict as the
    registry of special addresses: networks for tests use those of documentation.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host and not any(
        address in one for one in _NOT_ON_THE_INTERNET if one.version == address.version
    )


def external_class(host: str) -> ExternalClass:
    """The class of a router's external address; anything but an IP address is bogus."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ExternalClass.BOGUS
    if any(address in network for network in _CARRIER if network.version == address.version):
        return ExternalClass.CGNAT
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return ExternalClass.BOGUS
    if address.is_link_local or address in _FORMER_CLASS_E:
        return ExternalClass.BOGUS
    return ExternalClass.PUBLIC if address.is_global else ExternalClass.PRIVATE
