"""Connects to a guest who connects to us at the same time, from a port that both know.

Neither listens: the SYN of each answers the other's (RFC 9293 §3.5). Until the guest's comes, their
NAT drops or refuses ours; it keeps our own NAT open.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from pairingd.core.addresses import ip_version

_ATTEMPT_S = 30.0  # in which Linux sends a SYN at 0, 1, 3, 7 and 15 s
_REFUSED_S = 1.0  # from a refusal to the next SYN: the guest's ssh sends its own about as often
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class PortTaken(OSError):
    """Another program of this machine has the port that the guest was given."""


async def dial(host_port: int, address: str, guest_port: int) -> socket.socket:
    """A connection, as soon as the guest has made it too. Raises PortTaken."""
    while True:
        try:
            async with asyncio.timeout(_ATTEMPT_S):
                return await connect(host_port, address, guest_port)
        except TimeoutError:
            continue
        except PortTaken:
            raise
        except OSError:
            await asyncio.sleep(_REFUSED_S)


async def connect(local_port: int, host: str, port: int) -> socket.socket:
    """A TCP connection from `local_port` to an address. Raises OSError; PortTaken, too."""
    family = _FAMILIES[ip_version(host)]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        share(sock)
        try:
            sock.bind(("", local_port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                raise PortTaken(error.errno, error.strerror) from None
            raise
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def share(sock: socket.socket) -> None:
    """Share the port with another connection of ours to elsewhere, and with what is left of one
    that has ended (TIME_WAIT).
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
