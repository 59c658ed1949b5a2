"""The socket that guests connect to, and how many accepted ones there may be."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import resource
import socket
import sys

from pairingd.errors import Misconfigured

_BACKLOG = 1024  # connections the kernel holds for us; Linux cuts it to net.core.somaxconn
_MAX_DESCRIPTORS = 4096  # a connection takes two, one in the lobby takes one
_MIN_DESCRIPTORS = 64  # it uses 26 with one guest in (measured)
# For all but the door: 64 control connections, as many of guests who ask, store, tmux.
_RESERVED_DESCRIPTORS = 192
_UNACKNOWLEDGED_S = 30  # how long a guest's network may be gone before TCP gives up (Linux)


def listen(address: str, port: int) -> socket.socket:
    """Listen on `address`, or on all, IPv4 and IPv6. Raises OSError."""
    if address:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=_BACKLOG)
    else:
        try:
            listener = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise
            listener = socket.create_server(("", port), backlog=_BACKLOG)
    listener.setblocking(False)
    return listener


def tune(connection: socket.socket) -> None:
    """Set what sshd needs, before it gets the connection."""
    # macOS hands the listener's O_NONBLOCK on; sshd expects a plain descriptor.
    connection.setblocking(True)
    with contextlib.suppress(OSError):  # macOS: EINVAL if it was reset, which sshd will find out
        # Before sshd gets it: first paint 190 ms instead of 244 ms (measured over loopback, 9.2).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            unacknowledged_ms = _UNACKNOWLEDGED_S * 1000
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unacknowledged_ms)


def plain(address: str) -> str:
    """`203.0.113.7` for an IPv4 peer that reached the dual-stack listener."""
    return address.removeprefix("::ffff:") if "." in address else address


def raise_descriptor_limit() -> None:
    """Let this process open _MAX_DESCRIPTORS, or as many as the hard limit allows. Raises
    Misconfigured `too-few-descriptors`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_MAX_DESCRIPTORS, hard)
    if limit < _MIN_DESCRIPTORS:
        raise Misconfigured(
            "too-few-descriptors",
            f"pairingd may open {limit} files, and needs {_MIN_DESCRIPTORS}",
            "raise the hard limit, which `ulimit -Hn` shows (LimitNOFILE= in a unit)",
        )
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def descriptors_left(used: int) -> int:
    """How many more the door may open beside its `used`, so that some are left for the rest."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - _RESERVED_DESCRIPTORS - used
