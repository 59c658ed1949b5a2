"""The protocols by which pairingd asks a gateway for a port: a line for each, the first one first.

A line has all that the rest of the house must know of a protocol, so that nobody else names one.
To add a protocol: docs/adding.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Protocol(NamedTuple):
    """`module` is in pairingd.world.gateway. It has `adapter(tools)`, and for one that opens IPv6
    firewalls `pinhole_adapter(tools)`.
    """

    name: str  # in config.toml, in the journal and in JSON
    title: str  # on screens
    module: str
    reads_back: bool = False  # the gateway shows the mappings that it has
    announces: bool = False  # the gateway says that it has restarted (pxp/announcements.py)
    ipv6: bool = False
    speaks_for: tuple[str, ...] = ()  # names of those that the same server would refuse alike
    configurable: bool = True  # may be named in [router] protocols
    chooses_port: bool = False  # the external port is whatever comes of the request
    anycast: str = ""  # where the provider's server answers, if it has one


PROTOCOLS = (
    # One server answers PCP and NAT-PMP (RFC 6887 §9); asked both, miniupnpd 2.3.1 hangs a minute.
    Protocol(
        *("pcp", "PCP", "pxp.pcp"),
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
CONFIGURABLE = tuple(protocol.name for protocol in PROTOCOLS if protocol.configurable)


def named(name: str) -> Protocol:
    """The protocol of that name; one of an earlier or later pairingd has no properties."""
    known = (protocol for protocol in PROTOCOLS if protocol.name == name)
    return next(known, Protocol(name, name, ""))
