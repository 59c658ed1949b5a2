"""SSDP (UPnP Device Architecture 2.0 §1.3): where on the LAN a gateway describes itself.

miniupnpc can search too, but then asks every URL that it finds and returns none. Any device on the
LAN may answer, with anything and as often as it likes: what is kept is bounded.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pairingd import interfaces
from pairingd.world.gateway.pxp.datagrams import numeric
from pairingd.world.gateway.upnp.location import bracketed, location_host, repointed

MULTICAST = "239.255.255.250"
MULTICAST6 = "ff02::c"  # UPnP Device Architecture 2.0, Annex A; a gateway is on our own link
PORT = 1900
SEARCH_SECONDS = 3.0
_SENT_AT = (0.0, 0.5, 1.5)
_TARGETS: tuple[str, ...] = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "ssdp:all",
)
# Over IPv6 there is no more to ask of a gateway than to open its firewall. A FRITZ!Box describes
# itself twice, and this is in one of them only.
_TARGETS6: tuple[str, ...] = (
    "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
)
_GATEWAYS = (
    *("InternetGatewayDevice:", "WANIPConnection:", "WANPPPConnection:"),
    "WANIPv6FirewallControl:",
)
_MAX_REPLY = 1500
_MAX_REPLIES = 200
_MAX_LOCATIONS = 10


class Reply(NamedTuple):
    location: str
    is_gateway: bool


def request(target: str, group: str = MULTICAST) -> bytes:
    return (
        f"M-SEARCH * HTTP/1.1\r\nHOST: {bracketed(group)}:{PORT}\r\n"
        f'MAN: "ssdp:discover"\r\nMX: 1\r\nST: {target}\r\n\r\n'
    ).encode("ascii")


def parse(datagram: bytes) -> Reply | None:
    """The reply, or None for anything that is not one whose location could be asked."""
    if len(datagram) > _MAX_REPLY or not datagram.startswith(b"HTTP/1.1 200"):
        return None
    try:
        lines = datagram.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    fields = {
        name.strip().upper(): value.strip() for name, _, value in (x.partition(":") for x in lines)
    }
    location = fields.get("LOCATION", "")
    if location_host(location) is None:
        return None
    kind = fields.get("ST", "") + " " + fields.get("USN", "")
    return Reply(location, any(name in kind for name in _GATEWAYS))


class _Search(asyncio.DatagramProtocol):
    def __init__(self, address: str, gateway: str) -> None:
        self.heard: dict[str, tuple[bool, bool]] = {}
        self.found = asyncio.Event()
        self.error: OSError | None = None
        self._gateway = gateway
        self._address = address
        self._heard = 0

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - odd source ports are common
        self._heard += 1
        if self._heard > _MAX_REPLIES or (reply := parse(data)) is None:
            return
        host = location_host(reply.location) or ""
        kind = (host == self._gateway, reply.is_gateway)
        if kind[0] or (reply.is_gateway and interfaces.on_link(host, self._address)):
            self._hear(reply.location, kind)
        if reply.is_gateway and not kind[0]:
            # A gateway of several addresses may name the wrong one.
            self._hear(repointed(reply.location, self._gateway), (False, False))
        if all(kind):
            self.found.set()

    def _hear(self, location: str, kind: tuple[bool, bool]) -> None:
        if location_host(location) is None:  # too long, now that it names the gateway
            return
        # Each kind has room of its own: no crowd of one shuts out another.
        if sum(other == kind for other in self.heard.values()) < _MAX_LOCATIONS:
            self.heard.setdefault(location, kind)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.error = self.error or exc


async def search(
    address: str,
    gateway: str,
    port: int = PORT,
    *,
    interface: str = "",
) -> tuple[list[str], OSError | None]:
    """Locations heard of within SEARCH_SECONDS, the gateway's own first, and what sending met with.

    Ends early once the default gateway itself has answered; any other host must be on our link. The
    first packet goes to the gateway alone: host firewalls and macOS's Local Network privacy treat
    it better than multicast. Over IPv6 the firewall to open is searched for, on the link of
    `interface`.
    """
    loop = asyncio.get_running_loop()
    six = ":" in address
    try:
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Search(address, gateway),
            local_addr=(address, 0),
            family=socket.AF_INET6 if six else socket.AF_INET,
        )
    except OSError as error:
        return [], error
    try:
        own = transport.get_extra_info("socket")
        if six:
            link = socket.if_nametoindex(interface)
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link)
            group, targets = MULTICAST6, _TARGETS6
        else:
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
            group, targets = MULTICAST, _TARGETS
        hosts = [numeric(host, port) for host in (gateway, group)]
        requests = [request(target, group) for target in targets]
        await _ask(transport, protocol, hosts, requests)
    except OSError as error:
        protocol.error = protocol.error or error
    finally:
        transport.close()
    best_first = sorted(protocol.heard.items(), key=lambda item: item[1], reverse=True)
    return [location for location, _ in best_first][:_MAX_LOCATIONS], protocol.error


async def _ask(
    transport: asyncio.DatagramTransport,
    protocol: _Search,
    hosts: Iterable[tuple[object, ...]],
    requests: Sequence[bytes],
) -> None:
    for at, until in zip(_SENT_AT, (*_SENT_AT[1:], SEARCH_SECONDS), strict=True):
        for host in hosts:
            for one in requests:
                transport.sendto(one, host)
        try:
            await asyncio.wait_for(protocol.found.wait(), until - at)
        except TimeoutError:
            continue
        return
