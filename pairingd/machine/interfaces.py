"""The addresses of this machine's network interfaces."""

from __future__ import annotations

import ipaddress
import socket

from pairingd.core.addresses import ip_version, parse_address

DISCARD_PORT = 9  # RFC 863


def source_towards(host: str) -> str:
    """Return our address on the kernel's route to the address `host`; sends nothing.

    Raises OSError if there is no route, or no such address family.
    """
    family = socket.AF_INET6 if ip_version(host) == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host, DISCARD_PORT))
        return str(probe.getsockname()[0])


def addresses(family: socket.AddressFamily) -> dict[str, list[str]]:
    """Return each interface's addresses of `family`, without their scope."""
    import psutil  # late: an idle daemon does not need it

    return {
        interface: [entry.address.partition("%")[0] for entry in owned if entry.family == family]
        for interface, owned in psutil.net_if_addrs().items()
    }


def networks() -> dict[str, ipaddress.IPv4Network]:
    """Return the network of each of our IPv4 addresses."""
    import psutil  # late, as above

    return {
        interface.address: ipaddress.IPv4Network(
            f"{interface.address}/{interface.netmask}", strict=False
        )
        for owned in psutil.net_if_addrs().values()
        for interface in owned
        if interface.family == socket.AF_INET and interface.netmask
    }


def near(host: str) -> list[str]:
    """Return our IPv4 addresses that share a network with the address `host`."""
    other = parse_address(host)
    return [address for address, network in networks().items() if other and other in network]


def on_link(host: str, address: str) -> bool:
    """Whether `host` is an address in the network of the interface that has `address`."""
    return address in near(host)
