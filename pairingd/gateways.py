"""The protocols by which pairingd requests a port from a gateway, in the order of preference.

An entry has all that other modules need to know of a protocol, so that none of them names one. To
add a protocol: docs/adding.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Protocol(NamedTuple):
    """`module` is in pairingd.world.gateway. It has `adapter(tools)`, and `pinhole_adapter(tools)`
    if the protocol opens IPv6 firewalls.
    """

    name: str  # in config.toml, in the journal and in JSON
    title: str  # on screens
    module: str
    reads_back: bool = False  # the gateway shows the mappings that it has
    announces: bool = False  # the gateway announces its restart (pxp/announcements.py)
    ipv6: bool = False
    speaks_for: tuple[str, ...] = ()  # protocols that the same server refuses, too
    configurable: bool = True  # may be named in [router] protocols
    chooses_port: bool = False  # the gateway chooses the external port
    anycast: str = ""  # address of the provider's server, if it has one


PROTOCOLS = (
    # One server answers PCP and NAT-PMP (RFC 6887 §9); asked both, miniupnpd 2.3.1 hangs for 60 s.
    Protocol(
        "pcp",
        "PCP",
        "pxp.pcp",
        announces=True,
        ipv6=True,
        speaks_for=("natpmp",),
        anycast="192.0.0.9",  # RFC 7723 §4
    ),
    Protocol("natpmp", "NAT-PMP", "pxp.natpmp", announces=True),
    Protocol("upnp", "UPnP", "upnp", reads_back=True, ipv6=True),
    Protocol("command", "your command", "command", configurable=False, chooses_port=True),
)
ANYCAST = tuple(protocol.anycast for protocol in PROTOCOLS if protocol.anycast)
READ_BACK = frozenset(protocol.name for protocol in PROTOCOLS if protocol.reads_back)
CONFIGURABLE = tuple(protocol.name for protocol in PROTOCOLS if protocol.configurable)


def named(name: str) -> Protocol:
    """Return the protocol `name`; one of an earlier or later pairingd has no properties."""
    known = (protocol for protocol in PROTOCOLS if protocol.name == name)
    return next(known, Protocol(name, name, ""))
