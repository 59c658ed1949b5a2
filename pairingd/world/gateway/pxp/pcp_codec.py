"""PCP (RFC 6887), bytes in and bytes out: ANNOUNCE and MAP for TCP.

A request makes its own bytes and reads what came back: it believes a response only if every field
matches the request.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum

from msgspec import Struct

from pairingd.world.gateway.pxp.codec import TCP, Address, ProtocolError, from_wire, to_wire

VERSION = 2
LARGEST = 1100  # bytes of a message, §7
NONCE_SIZE = 12
_RESPONSE = 0x80
_ANNOUNCE, _MAP = 0, 1
_PREFER_FAILURE = 2
_REQUEST_HEADER = struct.Struct("!BBHI16s")  # version, opcode, reserved, lifetime, client
_RESPONSE_HEADER = struct.Struct("!BBxBII12x")  # version, opcode, result, lifetime, epoch
_MAP_BODY = struct.Struct("!12sB3xHH16s")  # nonce, protocol, internal and external port, address
_OPTION = struct.Struct("!BBH")  # code, reserved, length
_VERSION_ERROR_SIZE = 4  # the least that names a version and a result


class Result(IntEnum):
    """RFC 6887 §7.4."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    MALFORMED_REQUEST = 3
    UNSUPP_OPCODE = 4
    UNSUPP_OPTION = 5
    MALFORMED_OPTION = 6
    NETWORK_FAILURE = 7
    NO_RESOURCES = 8
    UNSUPP_PROTOCOL = 9
    USER_EX_QUOTA = 10
    CANNOT_PROVIDE_EXTERNAL = 11
    ADDRESS_MISMATCH = 12
    EXCESSIVE_REMOTE_PEERS = 13


class AnnounceResponse(Struct, frozen=True):
    result: int
    epoch: int


class MapResponse(Struct, frozen=True):
    """The external side is zero and None unless `result` is 0.

    `lifetime` is in seconds: of the mapping, or of the error.
    """

    result: int
    epoch: int
    lifetime: int
    external_port: int = 0
    external_address: Address | None = None


class AnnounceRequest(Struct, frozen=True):
    """§14.1: asks for the epoch. `client` is our address as the gateway sees it."""

    client: Address

    def encode(self) -> bytes:
        return _REQUEST_HEADER.pack(VERSION, _ANNOUNCE, 0, 0, to_wire(self.client))

    def decode(self, data: bytes) -> AnnounceResponse:
        result, _, epoch = _header(data, _ANNOUNCE)
        if result == Result.SUCCESS:
            _check_options(data, _RESPONSE_HEADER.size)
        return AnnounceResponse(result, epoch)


class MapRequest(Struct, frozen=True):
    """§11.1. A lifetime of zero deletes the mapping made with the same nonce (§15.1).

    `external_address` is the suggestion: all zeros of the client's family if any will do.
    """

    client: Address
    nonce: bytes
    internal_port: int
    external_port: int
    external_address: Address
    lifetime: int
    prefer_failure: bool = False

    def encode(self) -> bytes:
        return b"".join(
            (
                _REQUEST_HEADER.pack(VERSION, _MAP, 0, self.lifetime, to_wire(self.client)),
                _MAP_BODY.pack(
                    self.nonce,
                    TCP,
                    self.internal_port,
                    self.external_port,
                    to_wire(self.external_address),
                ),
                _OPTION.pack(_PREFER_FAILURE, 0, 0) if self.prefer_failure else b"",
            )
        )

    def decode(self, data: bytes) -> MapResponse:
        result, lifetime, epoch = _header(data, _MAP)
        end = _RESPONSE_HEADER.size + _MAP_BODY.size
        if result != Result.SUCCESS and len(data) < end:
            return MapResponse(result, epoch, lifetime)  # cut after the header: nothing to check
        if len(data) < end:
            raise ProtocolError(f"{len(data)} bytes")
        nonce, protocol, internal_port, external_port, wire = _MAP_BODY.unpack_from(
            data, _RESPONSE_HEADER.size
        )
        if (nonce, protocol, internal_port) != (self.nonce, TCP, self.internal_port):
            raise ProtocolError("answers for another mapping")
        if result != Result.SUCCESS:
            return MapResponse(result, epoch, lifetime)
        _check_options(data, end)
        address = from_wire(wire)
        if self.lifetime and not external_port:
            raise ProtocolError("grants external port 0")
        if self.lifetime and address.version != self.client.version:
            raise ProtocolError(f"grants an IPv{address.version} address")
        return MapResponse(result, epoch, lifetime, external_port, address)


def announced(data: bytes) -> AnnounceResponse:
    """§14.1: an announcement, which a gateway sends to all hosts when it has restarted."""
    result, _, epoch = _header(data, _ANNOUNCE)
    if result != Result.SUCCESS:
        raise ProtocolError(f"announces result {result}")
    _check_options(data, _RESPONSE_HEADER.size)
    return AnnounceResponse(result, epoch)


def epoch_is_continuous(previous_epoch: int, previous_time: float, epoch: int, time: float) -> bool:
    """RFC 6887 §8.5: whether the gateway kept its mappings between the two times (seconds)."""
    if epoch < previous_epoch - 1:
        return False
    client_delta = time - previous_time
    server_delta = epoch - previous_epoch
    return (
        client_delta + 2 >= server_delta - server_delta / 16
        and server_delta + 2 >= client_delta - client_delta / 16
    )


def renewal_delay(lifetime: float, uniform: Callable[[float, float], float]) -> float:
    """RFC 6887 §11.2.1: when to renew first, from 1/2 to 5/8 of the lifetime."""
    return lifetime / 2 + uniform(0, lifetime / 8)


def _header(data: bytes, opcode: int) -> tuple[int, int, int]:
    """Result, lifetime and epoch."""
    if len(data) < _VERSION_ERROR_SIZE:
        raise ProtocolError(f"{len(data)} bytes")
    version, answered, _, result = data[:_VERSION_ERROR_SIZE]
    if not answered & _RESPONSE:
        raise ProtocolError("not a response")
    if version != VERSION:
        # §9: a server of another version says so in that version's form; NAT-PMP's has 8 bytes.
        if result != Result.UNSUPP_VERSION:
            raise ProtocolError(f"version {version}")
        return result, 0, 0
    if answered != _RESPONSE | opcode:
        raise ProtocolError(f"opcode {answered}")
    if not _RESPONSE_HEADER.size <= len(data) <= LARGEST or len(data) % 4:
        raise ProtocolError(f"{len(data)} bytes")
    _, _, result, lifetime, epoch = _RESPONSE_HEADER.unpack_from(data)
    return result, lifetime, epoch


def _check_options(data: bytes, start: int) -> None:
    """§7.3: options fill the rest, each padded to four bytes. Their contents are not used."""
    while start < len(data):
        _, _, length = _OPTION.unpack_from(data, start)
        start += _OPTION.size + length + -length % 4
    if start > len(data):
        raise ProtocolError("an option is cut off")
