"""A gateway's announcement that it has restarted (RFC 6887 §14.1, RFC 6886 §3.2.1).

It goes to all hosts of the link. Any of them can forge it, so it is only a reason to ask the
gateway. IPv4 only: miniupnpd 2.3.1 announces by IPv4, and once (measured).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pairingd.world.gateway.pxp import natpmp_codec, pcp_codec
from pairingd.world.gateway.pxp.codec import ProtocolError

log = logging.getLogger(__name__)

PORT = 5350
_ALL_HOSTS = "224.0.0.1"
# How long we do not listen after an announcement; those that come meanwhile count as one.
# NAT-PMP repeats it after ¼, ½, 1, 2, 4 … s, and one question is enough for most of these. Forged
# ones make us ask no more often than this.
_PAUSE_S = 10.0
_IDLE_PAUSE_S = 0.1  # the same after any other datagram, so that a flood costs next to nothing
_MAX_DATAGRAMS = 16  # read between two such pauses


@contextmanager
def listen(
    gateway: str,
    address: str,
    heard: Callable[[], None],
    *,
    port: int = PORT,
    pause_s: float = _PAUSE_S,
) -> Iterator[None]:
    """Within it, call `heard` on the running loop when `gateway` seems to have restarted.

    `address` is ours on the gateway's link. Never calls `heard` if this process may not listen, or
    if another program does not share the port.
    """
    try:
        sock = _open(address, port)
    except OSError as error:
        log.debug("announcements of %s cannot be heard: %s", gateway, error)
        yield
        return
    loop = asyncio.get_running_loop()
    pause: asyncio.TimerHandle | None = None

    def readable() -> None:
        nonlocal pause
        restarted = _has_announcement(sock, gateway)
        loop.remove_reader(sock)
        pause = loop.call_later(pause_s if restarted else _IDLE_PAUSE_S, resume)
        if restarted:
            heard()

    def resume() -> None:
        loop.add_reader(sock, readable)

    with sock:
        resume()
        try:
            yield
        finally:
            loop.remove_reader(sock)
            if pause is not None:
                pause.cancel()


def _open(address: str, port: int) -> socket.socket:
    """Bound to the group, so that it receives nothing that was sent only to us."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        # macOS's mDNSResponder listens here as well.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((_ALL_HOSTS, port))
        group = socket.inet_aton(_ALL_HOSTS) + socket.inet_aton(address)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except BaseException:
        sock.close()
        raise
    return sock


def _has_announcement(sock: socket.socket, gateway: str) -> bool:
    """Whether one of the datagrams that have come is an announcement, sent from `gateway`."""
    announced = False
    with contextlib.suppress(OSError):  # no more of them
        for _ in range(_MAX_DATAGRAMS):
            data, sender = sock.recvfrom(pcp_codec.LARGEST + 1)
            announced = announced or (sender[0] == gateway and _is_announcement(data))
    return announced


def _is_announcement(data: bytes) -> bool:
    for codec in (pcp_codec, natpmp_codec):
        with contextlib.suppress(ProtocolError):
            codec.announced(data)
            return True
    return False
