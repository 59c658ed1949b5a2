"""macOS: route(8), arp(8), ifconfig(8) and the routing socket, route(4).

Written from the manuals and from recorded output; every parser is a pure function of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import struct
import subprocess

_COMMAND_TIMEOUT_S = 2
_RTM_ADD, _RTM_DELETE, _RTM_CHANGE = 0x1, 0x2, 0x3  # <net/route.h>
_RTM_NEWADDR, _RTM_DELADDR, _RTM_IFINFO = 0xC, 0xD, 0xE
_RTF_HOST = 0x4
_RT_MSGHDR = struct.Struct("=HBBHxxi")  # msglen, version, type, index, flags
# Addresses that guests should not get, ifconfig(8); from `clat46` the system
# translates IPv4 (RFC 6877).
_PASSING = frozenset({"temporary", "deprecated", "tentative", "duplicated", "detached", "clat46"})


def gateway(interface: str) -> str:
    return default_gateway(_output("/sbin/route", "-n", "get", "default"), interface)


def gateway6(interface: str) -> str:
    return default_gateway6(_output("/sbin/route", "-n", "get", "-inet6", "default"), interface)


def neighbour(address: str, interface: str) -> str:
    return hardware_address(_output("/usr/sbin/arp", "-n", address), address, interface)


def ipv6_addresses(interface: str) -> list[str]:
    return lasting_addresses(_output("/sbin/ifconfig", interface, "inet6"))


async def second_hop(towards: str) -> str:
    """By traceroute(8), which may read routers' answers: it belongs to root."""
    command = ("/usr/sbin/traceroute", "-n", "-f", "2", "-m", "2", "-q", "1", "-w", "2", towards)
    return hop(await asyncio.to_thread(_output, *command))


def hop(answer: str) -> str:
    """The address in a line such as ` 2  192.168.1.1  2.113 ms`; `*` is no answer."""
    match = re.search(r"^\s*2\s+([\d.]+)\s", answer, re.ASCII | re.MULTILINE)
    return match[1] if match else ""


def is_tunnel(_interface: str) -> bool:
    """On macOS the names show it: utun, ipsec, ppp."""
    return False


def default_gateway(answer: str, interface: str) -> str:
    """Empty for a VPN's route, which names a link (`link#12`) or another interface."""
    via = _default_route(answer, interface)
    return via if re.fullmatch(r"[\d.]+", via, re.ASCII) else ""


def default_gateway6(answer: str, interface: str) -> str:
    """The same for IPv6; link-local as most are, with its scope."""
    via = _default_route(answer, interface)
    try:
        return str(ipaddress.IPv6Address(via))
    except ValueError:
        return ""


def _default_route(answer: str, interface: str) -> str:
    fields: dict[str, str] = dict(
        re.findall(r"^\s*(gateway|interface): (\S+)$", answer, re.MULTILINE)
    )
    return fields.get("gateway", "") if fields.get("interface") == interface else ""


def hardware_address(answer: str, address: str, interface: str) -> str:
    line = rf"^\S+ \({re.escape(address)}\) at ([0-9a-f:]+) on {re.escape(interface)}\b"
    match = re.search(line, answer, re.MULTILINE | re.ASCII)
    # arp(8) leaves leading zeros out; one network must not have two names.
    return ":".join(part.zfill(2) for part in match[1].split(":")) if match else ""


def lasting_addresses(answer: str) -> list[str]:
    addresses = re.findall(r"^\s+inet6 ([0-9a-f:]+) (.*)$", answer, re.MULTILINE | re.ASCII)
    return [address for address, rest in addresses if not _PASSING & set(rest.split())]


def open_route_socket() -> socket.socket:
    messages = socket.socket(socket.AF_ROUTE, socket.SOCK_RAW, socket.AF_UNSPEC)
    messages.settimeout(0)
    return messages


def is_change(message: bytes) -> bool:
    """Whether a routing message is about a route, address or link.

    Not of a lookup (`route get` is answered to every listener) nor of a host route, as each
    neighbour's ARP entry is one.
    """
    if len(message) < _RT_MSGHDR.size:
        return False
    _, _, kind, _, flags = _RT_MSGHDR.unpack_from(message)
    if kind in {_RTM_ADD, _RTM_DELETE, _RTM_CHANGE}:
        return not flags & _RTF_HOST
    return kind in {_RTM_NEWADDR, _RTM_DELADDR, _RTM_IFINFO}


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):  # nothing known
        return ""
    return done.stdout.decode("ascii", "replace")
