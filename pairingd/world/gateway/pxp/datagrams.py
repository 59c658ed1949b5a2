"""One request to a gateway and its answer over UDP, for PCP and NAT-PMP."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar
from weakref import WeakValueDictionary

from pairingd.errors import GatewayError
from pairingd.machine import lan
from pairingd.world.gateway import refusals
from pairingd.world.gateway.pxp.codec import ProtocolError

PORT = 5351  # RFC 6886 §1.1, RFC 6887 §19.1
# Seconds to wait after each sending. A gateway answers within milliseconds; a packet may be lost.
# The RFCs' own are longer: see docs/decisions.md.
PATIENT = (0.25, 0.5, 1.0, 2.0)
BRIEF = (0.25, 0.5, 1.0)
_MAX_MESSAGE_BYTES = 1100  # RFC 6887 §7
_MAX_REPLIES = 64  # to one request; more is a flood

Answer = TypeVar("Answer")


class Datagrams:
    """Requests to one gateway go one after another: small routers lose the second of two.

    `uniform` spreads what is sent again. `record` gets each message, its sender's or receiver's
    address, and ">" for what is sent, "<" for what has come.
    """

    def __init__(
        self,
        port: int = PORT,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
        record: Callable[[str, str, bytes], None] | None = None,
    ) -> None:
        self._port = port
        self._record = record or (lambda *_: None)
        self._uniform = uniform
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def exchange(
        self,
        gateway: str,
        source: str,
        request: bytes,
        decode: Callable[[bytes], Answer],
        waits: Sequence[float] = PATIENT,
    ) -> Answer:
        """Send `request` from our address `source`; the first answer that `decode` accepts.

        `decode` raises ProtocolError on any other datagram, which is then ignored. Raises
        GatewayError `no-gateway` when nobody listens there, `router-silent` after about
        sum(`waits`) seconds without an answer, `local-network-denied` when macOS forbids the
        request.
        """
        turn = self._turns.setdefault(gateway, asyncio.Lock())
        async with turn:
            try:
                return await self._exchange(gateway, source, request, decode, waits)
            except OSError as error:
                raise explained(error, gateway, sys.platform) from None

    async def _exchange(
        self,
        gateway: str,
        source: str,
        request: bytes,
        decode: Callable[[bytes], Answer],
        waits: Sequence[float],
    ) -> Answer:
        loop = asyncio.get_running_loop()
        allowed = _MAX_REPLIES
        with socket.socket(_family(gateway), socket.SOCK_DGRAM) as sock:
            sock.settimeout(0)
            sock.bind((source, 0))
            # Connected: the kernel drops what comes from elsewhere, and reports a closed port.
            sock.connect(numeric(gateway, self._port))
            self._record(">", gateway, request)
            for wait in waits:
                await loop.sock_sendall(sock, request)
                try:
                    async with asyncio.timeout(wait * self._uniform(0.9, 1.1)):  # RFC 6887 §8.1.1
                        while allowed:
                            reply = await loop.sock_recv(sock, _MAX_MESSAGE_BYTES + 1)
                            allowed -= 1
                            self._record("<", gateway, reply)
                            try:
                                return decode(reply)
                            except ProtocolError:
                                continue
                except TimeoutError:
                    continue
                break
        raise refusals.silent(gateway, "PCP or NAT-PMP")


def send_one(gateway: str, port: int = PORT) -> OSError | None:
    """Ask for the external address (RFC 6886 §3.2), and do not wait for the answer.

    Returns the system's refusal to send it, or None.
    """
    try:
        with socket.socket(_family(gateway), socket.SOCK_DGRAM) as sock:
            sock.settimeout(0)
            sock.sendto(bytes(2), numeric(gateway, port))
    except OSError as error:
        return error
    return None


def explained(error: OSError, gateway: str, platform: str) -> GatewayError:
    if error.errno == errno.ECONNREFUSED:
        return refusals.not_spoken("PCP or NAT-PMP")
    unreachable = GatewayError(
        "router-silent",
        f"the router {gateway} cannot be reached: {error.strerror}",
        "check the network connection",
    )
    return lan.explained(error, unreachable, platform)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def numeric(address: str, port: int) -> tuple[object, ...]:
    """The socket's form of an address, which for `fe80::1%eth0` holds the scope as a number."""
    addresses = socket.getaddrinfo(
        address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )
    return addresses[0][4]
