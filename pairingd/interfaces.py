"""The addresses of this machine's network interfaces."""

from __future__ import annotations

import ipaddress
import socket


def addresses(family: socket.AddressFamily) -> dict[str, list[str]]:
    """The addresses of `family` that each interface has, without their scope."""
    import psutil  # an idle daemon does without it

    return {
        interface: [one.address.partition("%")[0] for one in owned if one.family == family]
        for interface, owned in psutil.net_if_addrs().items()
    }


def near(host: str) -> list[str]:
    """Our IPv4 addresses that share a network with the address `host`."""
    import psutil  # needed only where a router answers under another address

    try:
        other = ipaddress.ip_address(host)
    except ValueError:
        return []
    return [
        interface.address
        for owned in psutil.net_if_addrs().values()
        for interface in owned
        if interface.family == socket.AF_INET
        and interface.netmask
        and other in ipaddress.ip_network(f"{interface.address}/{interface.netmask}", strict=False)
    ]


def on_link(host: str, address: str) -> bool:
    """Whether `host` is an address in the network of the interface that has `address`."""
    return address in near(host)
