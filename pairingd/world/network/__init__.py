"""Where this machine is: its home network on the default route, and when that changes.

The home gateway is the one our packets really take: the source address the kernel chooses for
the internet names the interface, whatever VPN or policy routing is in force. A default route
through a VPN or a container's bridge bypasses the home router, so it has no gateway here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import sys
from collections.abc import Iterable, Mapping

from pairingd.core.network import Network
from pairingd.machine import interfaces

if sys.platform == "darwin":
    from pairingd.world.network import macos as system
else:
    from pairingd.world.network import linux as system

# Somewhere on the internet (a.root-servers.net); a UDP connect picks the route, sends nothing.
_INTERNET = {socket.AF_INET: "198.41.0.4", socket.AF_INET6: "2001:503:ba3e::2:30"}
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # RFC 4291 §2.4; so no ULA, no link-local
_NEIGHBOUR_TIMEOUT_S = 0.5  # for an ARP answer
_NEIGHBOUR_INTERVAL_S = 0.02

# br- and veth only as Docker names them, bridge as macOS names those of virtual machines, from
# bridge100 on: a bridge or veth of another name may lead home.
_DETOUR = re.compile(
    r"lo\d*|(utun|ipsec|tun|tap|ppp|wg|tailscale|zt|nordlynx|gif|stf|gre|sit"
    r"|docker|virbr|lxc|lxd|cni|podman|vmnet|vmenet|vnic|feth|vboxnet|bridge\d{3}|awdl|llw|anpi|ap\d).*"
    r"|br-[0-9a-f]{12}|veth[0-9a-f]{7}",
    re.ASCII,
)


async def current() -> Network | None:
    """The network of the default route, or None if there is no IPv4 route at all.

    `gateway` is empty if there is a route but no home gateway on it (a VPN, PPP).
    `gateway_mac` is empty only if the gateway does not answer to ARP within half a second;
    to ask for it, this may send one empty datagram to the gateway's discard port.
    """
    address = _source(socket.AF_INET)
    if address is None:
        return None
    interface = _owner(address, interfaces.addresses(socket.AF_INET))
    if _is_detour(interface):
        return Network(interface, address, "")
    gateway = await asyncio.to_thread(system.gateway, interface)
    mac = await neighbour(gateway, interface) if gateway else ""
    return Network(interface, address, gateway, mac)


async def named(address: str, gateway: str) -> Network:
    """The network where we have `address`, with the `gateway` that is named.

    `gateway_mac` is empty also if the gateway is no neighbour: beyond another, or this machine.
    """
    interface = _owner(address, interfaces.addresses(socket.AF_INET))
    near = not _is_detour(interface) and interfaces.on_link(gateway, address)
    return Network(interface, address, gateway, await neighbour(gateway, interface) if near else "")


async def current_ipv6() -> Network | None:
    """The same for IPv6, by our address that stays; None if there is none.

    Without the gateway's MAC: most gateways' addresses are link-local and made of it.
    """
    return await asyncio.to_thread(_current_ipv6)


def _current_ipv6() -> Network | None:
    address = ipv6_address()
    if address is None:
        return None
    interface = _owner(address, interfaces.addresses(socket.AF_INET6))
    return Network(interface, address, system.gateway6(interface))


async def second_hop(gateway: str) -> str:
    """The router after `gateway` on our route to the internet, "" if it does not show itself, or
    the route uses another gateway.

    Sends one packet, which goes no further than that router.
    """
    home = await current()
    if home is None or home.gateway != gateway:
        return ""
    return await system.second_hop(_INTERNET[socket.AF_INET])


def lan_address() -> str | None:
    """Our own IPv4 address that somebody nearby would use, or None."""
    return best_lan_address(_source(socket.AF_INET), interfaces.addresses(socket.AF_INET))


def ipv6_address() -> str | None:
    """A global IPv6 address of the default route's interface that stays, or None.

    No temporary one (RFC 8981), no deprecated one, no ULA. Runs a short command on macOS.
    """
    source = _source(socket.AF_INET6)
    if source is None:
        return None
    interface = _owner(source, interfaces.addresses(socket.AF_INET6))
    if _is_detour(interface):
        return None
    return stable_global(system.ipv6_addresses(interface))


def best_lan_address(source: str | None, addresses: Mapping[str, Iterable[str]]) -> str | None:
    """`source` unless it belongs to a detour; then one on the LAN; else `source`."""
    if source is not None and not _is_detour(_owner(source, addresses)):
        return source
    nearby = [
        address
        for interface, owned in addresses.items()
        if not _is_detour(interface)
        for address in owned
        if _is_lan(address)
    ]
    return min(
        nearby, key=lambda address: not ipaddress.ip_address(address).is_private, default=source
    )


def stable_global(addresses: Iterable[str]) -> str | None:
    """The first address in 2000::/3. The caller has left out temporary ones."""
    return next(
        (address for address in addresses if ipaddress.ip_address(address) in _GLOBAL_UNICAST), None
    )


def _is_lan(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


def _is_detour(interface: str) -> bool:
    return not interface or bool(_DETOUR.fullmatch(interface)) or system.is_tunnel(interface)


def _source(family: socket.AddressFamily) -> str | None:
    try:
        return interfaces.source_towards(_INTERNET[family])
    except OSError:
        return None


def _owner(address: str, addresses: Mapping[str, Iterable[str]]) -> str:
    return next((name for name, owned in addresses.items() if address in owned), "")


async def neighbour(address: str, interface: str) -> str:
    """Its MAC; asks for it if the ARP table lacks it, so that it stays known."""
    mac = await asyncio.to_thread(system.neighbour, address, interface)
    if mac:
        return mac
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nudge:
        nudge.settimeout(0)
        nudge.sendto(b"", (address, interfaces.DISCARD_PORT))
    for _ in range(round(_NEIGHBOUR_TIMEOUT_S / _NEIGHBOUR_INTERVAL_S)):
        await asyncio.sleep(_NEIGHBOUR_INTERVAL_S)
        mac = await asyncio.to_thread(system.neighbour, address, interface)
        if mac:
            break
    return mac
