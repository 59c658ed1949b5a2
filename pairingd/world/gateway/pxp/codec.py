"""What the codecs of NAT-PMP and PCP share: their error, and addresses on the wire."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address
TCP = 6  # IANA protocol number

_IPV4_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 §2.5.5.2


class ProtocolError(ValueError):
    """These bytes do not answer our request. A codec raises nothing else on received bytes."""


def to_wire(address: Address) -> bytes:
    """16 bytes; an IPv4 address as its IPv4-mapped IPv6 address (RFC 6887 §5)."""
    return _IPV4_MAPPED + address.packed if address.version == 4 else address.packed


def from_wire(data: bytes) -> Address:
    return IPv4Address(data[12:]) if data.startswith(_IPV4_MAPPED) else IPv6Address(data)
