"""SSDP (UPnP Device Architecture 2.0 §1.3): where on the LAN a gateway describes itself.

Any device on the LAN may answer, with anything and as often as it likes, also in the gateway's
name. So each sender has a budget, and no datagram ends a search: what is described there does.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from pairingd import interfaces
from pairingd.core.addresses import bracketed
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
_MAX_LOCATIONS = 10  # returned
_MAX_REPLIES, _MAX_REPLIES_EACH = 1000, 100  # read of the gateway's, and of any other sender's
_MAX_SENDERS = 1000
# New locations that are looked at: of the gateway, and as many of all others; of each of them.
_BUDGET, _BUDGET_EACH = 50, 5
_GRACE_S = 0.5  # for the second description of a gateway, where nobody judges the first
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
        f"M-SEARCH * HTTP/1.1\r\nHOST: {bracketed(group)}:{PORT}\r\n"
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
        self.found = asyncio.Event()
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
        """No crowd hides the gateway's own answer, nor one sender all others', nor what is no
        gateway what is one.
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
            self.found.set()

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
    """Locations of the gateway heard of within `schedule`, those at its own address first, and what
    sending met with.

    Each is given to `judge` as it is heard, and the search ends once that has said yes or, when the
    schedule ends, has said no to all. The first packet goes to the gateway alone: host firewalls
    and macOS's Local Network privacy treat it better than multicast. Over IPv6 the firewall to open
    is searched for, on the link of `interface`. Without `multicast` only the gateway is asked.
    """
    loop = asyncio.get_running_loop()
    six = ":" in address
    try:
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Search(address, gateway, is_gateway, judge),
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
        hosts = [numeric(host, port) for host in (gateway, group)[: 1 + multicast]]
        requests = [request(target, group) for target in targets]
        await _ask(transport, protocol, hosts, requests, schedule)
        transport.close()
        await _judged(protocol)
    except OSError as error:
        protocol.error = protocol.error or error
    finally:
        transport.close()
        for judging in protocol.judging.values():
            judging.cancel()
        await asyncio.gather(*protocol.judging.values(), return_exceptions=True)
    best_first = sorted(protocol.heard.items(), key=lambda item: item[1], reverse=True)
    return [location for location, _ in best_first][:_MAX_LOCATIONS], protocol.error


async def _judged(search: _Search) -> None:
    """Wait for the judge of what was heard, unless it has found what is wanted."""
    found = asyncio.create_task(search.found.wait())
    pending: set[asyncio.Task[Any]] = set(search.judging.values())
    try:
        while pending and not found.done():
            _, pending = await asyncio.wait({found, *pending}, return_when="FIRST_COMPLETED")
            pending.discard(found)
    finally:
        found.cancel()


async def _ask(
    transport: asyncio.DatagramTransport,
    protocol: _Search,
    hosts: Iterable[tuple[object, ...]],
    requests: Sequence[bytes],
    schedule: Schedule,
) -> None:
    sent_at, end = schedule
    for at, until in zip(sent_at, (*sent_at[1:], end), strict=True):
        for host in hosts:
            for one in requests:
                transport.sendto(one, host)
        try:
            await asyncio.wait_for(protocol.found.wait(), until - at)
        except TimeoutError:
            continue
        return
