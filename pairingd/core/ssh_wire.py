"""The little of SSH that is spoken without sshd: RFC 4253 §4.2 and §11.1."""

from __future__ import annotations

from enum import IntEnum

IDENTIFICATION = b"SSH-2.0-pairing\r\n"
MAX_IDENTIFICATION = 255  # bytes, RFC 4253 §4.2; a client may send nothing before that line
_PREFIX = b"SSH-"
_BLOCK = 8  # bytes; the packet's whole length is a multiple of it, RFC 4253 §6
_SSH_MSG_DISCONNECT = 1


class Reason(IntEnum):
    """Of a disconnect message, RFC 4253 §11.1: those that we use."""

    PROTOCOL_ERROR = 2
    TOO_MANY_CONNECTIONS = 12


def is_identified(seen: bytes) -> bool | None:
    """Whether a client's first bytes hold its whole identification line; None: not yet.

    False: they never will.
    """
    if not seen.startswith(_PREFIX[: len(seen)]):
        return False
    if b"\n" in seen:
        return seen.startswith(_PREFIX)
    return None if len(seen) < MAX_IDENTIFICATION else False


def disconnect(text: str, reason: Reason = Reason.TOO_MANY_CONNECTIONS) -> bytes:
    """The packet that ends a connection, as it is before the key exchange.

    Our identification line must have been sent before it.
    """
    payload = bytes([_SSH_MSG_DISCONNECT]) + reason.to_bytes(4) + _string(text) + _string("")
    padding = _BLOCK - (5 + len(payload)) % _BLOCK
    if padding < 4:
        padding += _BLOCK
    return (1 + len(payload) + padding).to_bytes(4) + bytes([padding]) + payload + bytes(padding)


def _string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4) + data
