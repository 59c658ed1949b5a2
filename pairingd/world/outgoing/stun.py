"""STUN's binding request and its answer over TCP: RFC 8489 §5, §6.2.2, §14.1, §14.2. Bytes only."""

from __future__ import annotations

import ipaddress
import struct

HEADER_BYTES = 20
MAX_BODY_BYTES = 1024  # an answer is a few attributes
TRANSACTION_BYTES = 12

_MAGIC = 0x2112A442
_REQUEST, _SUCCESS = 0x0001, 0x0101
_MAPPED, _XOR_MAPPED = 0x0001, 0x0020
_HEADER = struct.Struct(">HHI12s")
_IPV4, _IPV6 = 1, 2


class BadAnswer(ValueError):
    """This is not the answer to that request."""


def request(transaction: bytes) -> bytes:
    return _HEADER.pack(_REQUEST, 0, _MAGIC, transaction)


def body_length(header: bytes, transaction: bytes) -> int:
    """Of the answer that begins with `header`. Raises BadAnswer."""
    if len(header) != HEADER_BYTES:
        raise BadAnswer("too short")
    kind, length, magic, answered = _HEADER.unpack(header)
    if magic != _MAGIC or answered != transaction:
        raise BadAnswer("not the answer to what was sent")
    if kind != _SUCCESS:
        raise BadAnswer("an error, or another message")
    if length % 4 or length > MAX_BODY_BYTES:
        raise BadAnswer("a length that no answer has")
    return int(length)


def mapped_address(body: bytes, transaction: bytes) -> tuple[str, int]:
    """Where the server saw us. Raises BadAnswer."""
    plain: tuple[str, int] | None = None
    offset = 0
    while offset + 4 <= len(body):
        kind, length = struct.unpack_from(">HH", body, offset)
        value = body[offset + 4 : offset + 4 + length]
        if len(value) != length:
            raise BadAnswer("an attribute that is cut short")
        if kind == _XOR_MAPPED:
            return _address(value, struct.pack(">I", _MAGIC) + transaction)
        if kind == _MAPPED and plain is None:
            plain = _address(value, bytes(16))
        offset += 4 + length + -length % 4
    if plain is None:
        raise BadAnswer("no address in it")
    return plain


def _address(value: bytes, mask: bytes) -> tuple[str, int]:
    sizes = {_IPV4: 4, _IPV6: 16}
    if len(value) < 4 or len(value) != 4 + sizes.get(value[1], 0) or value[1] not in sizes:
        raise BadAnswer("an address of no known kind")
    port = int.from_bytes(value[2:4]) ^ int.from_bytes(mask[:2])
    host = bytes(byte ^ mask_byte for byte, mask_byte in zip(value[4:], mask, strict=False))
    if not port:
        raise BadAnswer("an address with no port")
    return str(ipaddress.ip_address(host)), port
