"""NAT-PMP (RFC 6886), bytes in and bytes out.

A request makes its own bytes and reads what came back: it believes a response only if every field
matches the request.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from ipaddress import IPv4Address

from msgspec import Struct

from pairingd.world.gateway.pxp.codec import ProtocolError

VERSION = 0
_RESPONSE = 0x80
_ADDRESS, _MAP_TCP = 0, 2
_HEADER = struct.Struct("!BBHI")  # version, opcode, result, seconds since start of epoch
_ADDRESS_RESPONSE = struct.Struct("!BBHI4s")
_MAP_REQUEST = struct.Struct("!BBHHHI")  # ..., reserved, internal port, external port, lifetime
_MAP_RESPONSE = struct.Struct("!BBHIHHI")


class Result(IntEnum):
    """RFC 6886 §3.5."""

    SUCCESS = 0
    UNSUPPORTED_VERSION = 1
    NOT_AUTHORIZED = 2
    NETWORK_FAILURE = 3
    OUT_OF_RESOURCES = 4
    UNSUPPORTED_OPCODE = 5


class AddressResponse(Struct, frozen=True):
    """RFC 6886 §3.2. `address` is None unless `result` is 0."""

    result: int
    epoch: int
    address: IPv4Address | None = None


class MapResponse(Struct, frozen=True):
    """RFC 6886 §3.3. `external_port` and `lifetime` (seconds) are 0 unless `result` is 0."""

    result: int
    epoch: int
    external_port: int = 0
    lifetime: int = 0


class AddressRequest(Struct, frozen=True):
    """Asks for the gateway's external address, and so for its epoch."""

    def encode(self) -> bytes:
        return bytes((VERSION, _ADDRESS))

    def decode(self, data: bytes) -> AddressResponse:
        result, epoch = _header(data, _ADDRESS)
        if result != Result.SUCCESS:
            return AddressResponse(result, epoch)
        *_, address = _unpack(_ADDRESS_RESPONSE, data)
        return AddressResponse(result, epoch, IPv4Address(address))


class MapRequest(Struct, frozen=True):
    """A TCP mapping; both `external_port` and `lifetime` zero delete it (RFC 6886 §3.4)."""

    internal_port: int
    external_port: int
    lifetime: int

    def encode(self) -> bytes:
        return _MAP_REQUEST.pack(
            VERSION, _MAP_TCP, 0, self.internal_port, self.external_port, self.lifetime
        )

    def decode(self, data: bytes) -> MapResponse:
        result, epoch = _header(data, _MAP_TCP)
        if result != Result.SUCCESS:
            return MapResponse(result, epoch)
        *_, internal_port, external_port, lifetime = _unpack(_MAP_RESPONSE, data)
        if internal_port != self.internal_port:
            raise ProtocolError(f"answers for internal port {internal_port}")
        if self.lifetime and not external_port:
            raise ProtocolError("grants external port 0")
        return MapResponse(result, epoch, external_port, lifetime)


def announced(data: bytes) -> AddressResponse:
    """§3.2.1: an announcement, sent to all hosts after a restart or with a new address."""
    answer = AddressRequest().decode(data)
    if answer.result != Result.SUCCESS:
        raise ProtocolError(f"announces result {answer.result}")
    return answer


def epoch_is_continuous(previous_epoch: int, previous_time: float, epoch: int, time: float) -> bool:
    """RFC 6886 §3.6: whether the gateway kept its mappings between the two times (seconds).

    Its clock may run at 7/8 of ours and be two seconds off; below that it has restarted.
    """
    expected = previous_epoch + (time - previous_time) * 7 / 8
    return epoch >= expected - 2


def renewal_delay(lifetime: float) -> float:
    """RFC 6886 §3.3: renew when half of the lifetime is over."""
    return lifetime / 2


def _header(data: bytes, opcode: int) -> tuple[int, int]:
    # An error response may be cut after the header (RFC 6886 §3.5).
    if not _HEADER.size <= len(data) <= _MAP_RESPONSE.size:
        raise ProtocolError(f"{len(data)} bytes")
    version, answered, result, epoch = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ProtocolError(f"version {version}")
    if answered != _RESPONSE | opcode:
        raise ProtocolError(f"opcode {answered}")
    return result, epoch


def _unpack(form: struct.Struct, data: bytes) -> tuple[int, ...]:
    if len(data) != form.size:
        raise ProtocolError(f"{len(data)} bytes, not {form.size}")
    return form.unpack(data)
