"""Linux's tables: /proc/net/route, /proc/net/arp, /proc/net/if_inet6 (proc(5)), rtnetlink(7)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import sys
from pathlib import Path

HOP_PORT = 33434  # traceroute(8)
_ARPHRD_ETHER = "1"  # <linux/if_arp.h>; WireGuard and tun have 65534, PPP 512
_RTF_UP_GATEWAY = 0x1 | 0x2  # <linux/route.h>
_ATF_COM = 0x02  # <linux/if_arp.h>: a complete entry
# <linux/if_addr.h>: temporary, optimistic, DAD failed, deprecated, tentative
_PASSING = 0x01 | 0x04 | 0x08 | 0x20 | 0x40
_IP_RECVERR, _MSG_ERRQUEUE = 11, 0x2000  # ip(7); Python 3.11 names neither
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # <linux/errqueue.h>, before the offender's sockaddr_in
_ORIGIN_ICMP = 2
_HOP_TIMEOUT_S = 1.0
_RTMGRP = 0x10 | 0x40 | 0x100 | 0x400  # <linux/rtnetlink.h>: IPv4 and IPv6, IFADDR and ROUTE


def gateway(interface: str) -> str:
    return default_gateway(_read("/proc/net/route"), interface)


def gateway6(interface: str) -> str:
    return default_gateway6(_read("/proc/net/ipv6_route"), interface)


def neighbour(address: str, interface: str) -> str:
    return hardware_address(_read("/proc/net/arp"), address, interface)


def ipv6_addresses(interface: str) -> list[str]:
    return lasting_addresses(_read("/proc/net/if_inet6"), interface)


async def second_hop(towards: str) -> str:
    """The router after the gateway on the route to `towards`, "" if it does not answer. It is the
    last one that the packet reaches.
    """
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0)
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 2)
        probe.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        loop.add_reader(probe, answered.set)
        try:
            probe.connect((towards, HOP_PORT))
            probe.send(b"")
            async with asyncio.timeout(_HOP_TIMEOUT_S):
                await answered.wait()
            _, ancillary, *_ = probe.recvmsg(0, 512, _MSG_ERRQUEUE)
        except OSError:  # a TimeoutError, too
            return ""
        finally:
            loop.remove_reader(probe)
    return next((offender(data) for _, kind, data in ancillary if kind == _IP_RECVERR), "")


def offender(error: bytes) -> str:
    """Which router an error queue's entry is from, IP_RECVERR of ip(7)."""
    size = _EXTENDED_ERROR.size
    if len(error) < size + 8 or _EXTENDED_ERROR.unpack_from(error)[1] != _ORIGIN_ICMP:
        return ""
    return socket.inet_ntoa(error[size + 4 : size + 8])


def is_tunnel(interface: str) -> bool:
    """Whether the link is no Ethernet or Wi-Fi, or the user's end of a tap device."""
    link = Path("/sys/class/net", interface)
    return (link / "tun_flags").exists() or _read(link / "type").strip() not in {"", _ARPHRD_ETHER}


def default_gateway(table: str, interface: str) -> str:
    """The gateway of `interface`'s default route with the lowest metric in /proc/net/route."""
    routes = []
    for line in table.splitlines()[1:]:
        name, destination, via, flags, _, _, metric, mask, *_ = line.split()
        up = int(flags, 16) & _RTF_UP_GATEWAY == _RTF_UP_GATEWAY
        if name == interface and up and int(destination, 16) == int(mask, 16) == 0:
            routes.append((int(metric), via))
    if not routes:
        return ""
    # The kernel prints the address as one host-order word.
    return socket.inet_ntoa(int(min(routes)[1], 16).to_bytes(4, sys.byteorder))


def default_gateway6(table: str, interface: str) -> str:
    """The same of /proc/net/ipv6_route; link-local as most are, with its scope."""
    routes = []
    for line in table.splitlines():
        destination, length, _, _, via, metric, _, _, flags, name = line.split()
        up = int(flags, 16) & _RTF_UP_GATEWAY == _RTF_UP_GATEWAY
        if name == interface and up and int(destination, 16) == int(length, 16) == 0:
            routes.append((int(metric, 16), via))
    if not routes:
        return ""
    address = ipaddress.IPv6Address(bytes.fromhex(min(routes)[1]))
    return f"{address}%{interface}" if address.is_link_local else str(address)


def hardware_address(table: str, address: str, interface: str) -> str:
    for line in table.splitlines()[1:]:
        ip, _, flags, mac, *_, device = line.split()
        if (ip, device) == (address, interface) and int(flags, 16) & _ATF_COM:
            return mac
    return ""


def lasting_addresses(table: str, interface: str) -> list[str]:
    addresses = []
    for line in table.splitlines():
        digits, _, _, _, flags, device = line.split()
        if device == interface and not int(flags, 16) & _PASSING:
            addresses.append(str(ipaddress.IPv6Address(bytes.fromhex(digits))))
    return addresses


def open_route_socket() -> socket.socket:
    if sys.platform != "linux":
        raise NotImplementedError
    messages = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    messages.settimeout(0)
    messages.bind((0, _RTMGRP))
    return messages


def is_change(_message: bytes) -> bool:
    """The groups we joined report nothing else."""
    return True


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:  # no such table or link: nothing known
        return ""
