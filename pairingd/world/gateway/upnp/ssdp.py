"""SSDP (UPnP Device Architecture 2.0 §1.3): where on the LAN a gateway describes itself.

Any device on the LAN may answer, with anything and as often as it likes, also in the gateway's
name. So each sender has a budget, and no datagram ends a search: only a description does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from pairingd.core.ports import at_port
from pairingd.machine import interfaces
from pairingd.world.gateway.pxp.datagrams import numeric
from pairingd.world.gateway.upnp.location import location_host, repointed

MULTICAST = "239.255.255.250"
MULTICAST6 = "ff02::c"  # UPnP Device Architecture 2.0, Annex A; a gateway is on our own link
PORT = 1900
_TARGETS: tuple[str, ...] = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "ssdp:all",
)
# Over IPv6 pairingd asks a gateway only to open its firewall. A FRITZ!Box has two descriptions, of
# which only one has this service.
_TARGETS6: tuple[str, ...] = (
    "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
)
_GATEWAYS = (
    *("InternetGatewayDevice:", "WANIPConnection:", "WANPPPConnection:"),
    "WANIPv6FirewallControl:",
)
_MAX_REPLY = 1500
_MAX_LOCATIONS = 10  # returned
_MAX_REPLIES, _MAX_REPLIES_EACH = 1000, 100  # read of the gateway's, and of any other sender's
_MAX_SENDERS = 1000
# Linux counts 1.3 KiB for a reply of 250 bytes: its default holds 166 of them (measured).
_BUFFER_BYTES = 4 << 20
# New locations to look at: of the gateway, and as many of all others together; of each other.
_BUDGET, _BUDGET_EACH = 50, 5
_GRACE_S = 0.5  # for a gateway's second description, if no `judge` is given
_STATUS = re.compile(rb"\s*HTTP/1\.[01]\s+200\b", re.IGNORECASE)
_ASCII = "".join(map(chr, range(128)))

# Says whether the host of another address is the gateway too.
IsGateway = Callable[[str], Awaitable[bool]]
# Says of a location whether the search can end with it.
Judge = Callable[[str], Awaitable[bool]]


class Schedule(NamedTuple):
    """When the requests are sent and when the search ends, in seconds from its start."""

    sent_at: tuple[float, ...] = (0.0, 0.5, 1.5)
    end: float = 3.0


SCHEDULE = Schedule()


class Reply(NamedTuple):
    location: str
    is_gateway: bool


def request(target: str, group: str = MULTICAST) -> bytes:
    return (
        f"M-SEARCH * HTTP/1.1\r\nHOST: {at_port(group, PORT)}\r\n"
        f'MAN: "ssdp:discover"\r\nMX: 1\r\nST: {target}\r\n\r\n'
    ).encode("ascii")


def parse(datagram: bytes) -> Reply | None:
    """The reply, or None for anything that is not one whose location could be asked.

    Bytes beyond ASCII are percent-encoded in a location, and do not matter elsewhere.
    """
    if len(datagram) > _MAX_REPLY or not _STATUS.match(datagram):
        return None
    lines = re.split(rb"\r\n|\n|\r", datagram)
    fields = {
        name.strip().upper(): value.strip(b" \t\0")
        for name, _, value in (line.partition(b":") for line in lines)
    }
    location = quote(fields.get(b"LOCATION", b""), safe=_ASCII)
    if location_host(location) is None:
        return None
    kind = (fields.get(b"ST", b"") + b" " + fields.get(b"USN", b"")).decode("latin-1")
    return Reply(location, any(name in kind for name in _GATEWAYS))


class _Search(asyncio.DatagramProtocol):
    """`heard` has the locations of the gateway, and of each whether it is at the gateway's own
    address and was named by an answer to a search for gateways.
    """

    def __init__(self, address: str, gateway: str, is_gateway: IsGateway, judge: Judge) -> None:
        self.heard: dict[str, tuple[bool, bool]] = {}
        self.ended = asyncio.Event()
        self.error: OSError | None = None
        self.judging: dict[str, asyncio.Task[None]] = {}
        self._gateway = gateway
        self._address = address
        self._is_gateway = is_gateway
        self._judge = judge
        self._replies: Counter[str] = Counter()
        self._spent: Counter[tuple[str, bool]] = Counter()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        sender = addr[0]  # the source port may be any: odd ones are common
        if len(self._replies) >= _MAX_SENDERS and sender not in {*self._replies, self._gateway}:
            return
        self._replies[sender] += 1
        limit = _MAX_REPLIES if sender == self._gateway else _MAX_REPLIES_EACH
        if self._replies[sender] > limit or (reply := parse(data)) is None:
            return
        host = location_host(reply.location) or ""
        own = host == self._gateway
        if own or reply.is_gateway:
            self._hear(sender, reply.location, (own, reply.is_gateway))
        if reply.is_gateway and not own:
            # A gateway of several addresses may name the wrong one.
            self._hear(sender, repointed(reply.location, self._gateway), (True, False))

    def _hear(self, sender: str, location: str, kind: tuple[bool, bool]) -> None:
        if location_host(location) is None:  # too long, now that it names the gateway
            return
        if location in self.judging or not self._may_spend(sender, is_gateway=kind[1]):
            return
        self.judging[location] = asyncio.create_task(self._consider(location, kind))

    def _may_spend(self, sender: str, *, is_gateway: bool) -> bool:
        """Many senders cannot hide the gateway's own answer, nor one sender all others', nor other
        devices a gateway.
        """
        payer = (sender if sender == self._gateway else "others", is_gateway)
        limit = _BUDGET if sender == self._gateway else _BUDGET_EACH
        if self._spent[sender, is_gateway] >= limit or self._spent[payer] >= _BUDGET:
            return False
        self._spent.update({(sender, is_gateway), payer})
        return True

    async def _consider(self, location: str, kind: tuple[bool, bool]) -> None:
        host = location_host(location) or ""
        if not kind[0] and not (
            interfaces.on_link(host, self._address) and await self._is_gateway(host)
        ):
            return
        self.heard.setdefault(location, kind)
        if await self._judge(location):
            self.ended.set()

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.error = self.error or exc


async def _never(_host: str) -> bool:
    return False


async def _after_grace(_location: str) -> bool:
    await asyncio.sleep(_GRACE_S)
    return True


async def search(
    address: str,
    gateway: str,
    port: int = PORT,
    *,
    interface: str = "",
    schedule: Schedule = SCHEDULE,
    is_gateway: IsGateway = _never,
    judge: Judge = _after_grace,
    multicast: bool = True,
) -> tuple[list[str], OSError | None]:
    """Locations of the gateway received within `schedule`, those at its own address first, and the
    error that sending met, if any.

    Each goes to `judge` as it comes, and the search ends once that has accepted one or, when the
    schedule ends, has rejected all. The first packet goes only to the gateway: host firewalls and
    macOS's Local Network privacy treat it better than multicast. Over IPv6 this searches for the
    firewall to open, on the link of `interface`. Without `multicast` it asks only the gateway.
    """
    protocol = _Search(address, gateway, is_gateway, judge)
    group, targets = (MULTICAST6, _TARGETS6) if ":" in address else (MULTICAST, _TARGETS)
    hosts: list[tuple[asyncio.DatagramTransport, tuple[object, ...]]] = []
    try:
        # A socket for each: answers to the multicast cannot fill the buffer of the gateway's own.
        for host in (gateway, group)[: 1 + multicast]:
            destination = numeric(host, port)
            hosts.append((await _socket(address, protocol), destination))
            _prepare(hosts[-1][0].get_extra_info("socket"), address, interface)
        await _ask(protocol, hosts, [request(target, group) for target in targets], schedule)
        for transport, _ in hosts:
            transport.close()
        await _judged(protocol)
    except OSError as error:
        protocol.error = protocol.error or error
    finally:
        for transport, _ in hosts:
            transport.close()
        for judging in protocol.judging.values():
            judging.cancel()
        await asyncio.gather(*protocol.judging.values(), return_exceptions=True)
    best_first = sorted(protocol.heard.items(), key=lambda item: item[1], reverse=True)
    return [location for location, _ in best_first][:_MAX_LOCATIONS], protocol.error


async def _socket(address: str, protocol: _Search) -> asyncio.DatagramTransport:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: protocol,
        local_addr=(address, 0),
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
    )
    return transport


def _prepare(sock: socket.socket, address: str, interface: str) -> None:
    with contextlib.suppress(OSError):  # more than this kernel allows
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    if ":" in address:
        link = socket.if_nametoindex(interface)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)


async def _judged(search: _Search) -> None:
    """Wait until the judge has accepted one of the locations, or judged all."""
    ended = asyncio.create_task(search.ended.wait())
    pending: set[asyncio.Task[Any]] = set(search.judging.values())
    try:
        while pending and not ended.done():
            _, pending = await asyncio.wait({ended, *pending}, return_when="FIRST_COMPLETED")
            pending.discard(ended)
    finally:
        ended.cancel()


async def _ask(
    protocol: _Search,
    hosts: Sequence[tuple[asyncio.DatagramTransport, tuple[object, ...]]],
    requests: Sequence[bytes],
    schedule: Schedule,
) -> None:
    sent_at, end = schedule
    for at, until in zip(sent_at, (*sent_at[1:], end), strict=True):
        for transport, host in hosts:
            for packet in requests:
                transport.sendto(packet, host)
        try:
            await asyncio.wait_for(protocol.ended.wait(), until - at)
        except TimeoutError:
            continue
        return
