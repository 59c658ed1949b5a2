"""The part of SSH that pairingd speaks without sshd: RFC 4253 §4.2 and §11.1; fingerprints."""

from __future__ import annotations

import base64
import hashlib
from enum import IntEnum

IDENTIFICATION = b"SSH-2.0-pairing\r\n"
MAX_IDENTIFICATION = 255  # bytes, RFC 4253 §4.2; a client may send nothing before that line
_PREFIX = b"SSH-"
_BLOCK_BYTES = 8  # the packet's whole length is a multiple of it, RFC 4253 §6
_SSH_MSG_DISCONNECT = 1


class Reason(IntEnum):
    """The reasons of a disconnect message that we use, RFC 4253 §11.1."""

    PROTOCOL_ERROR = 2
    TOO_MANY_CONNECTIONS = 12


def fingerprint(blob: bytes) -> str:
    """Of a public key's blob (RFC 4253 §6.6), as `ssh-keygen -l` prints it: base64 unpadded."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def is_identified(seen: bytes) -> bool | None:
    """Whether a client's first bytes hold its whole identification line; None: not yet.

    False: it cannot become one.
    """
    if not seen.startswith(_PREFIX[: len(seen)]):
        return False
    if b"\n" in seen:
        return seen.startswith(_PREFIX)
    return None if len(seen) < MAX_IDENTIFICATION else False


def disconnect(text: str, reason: Reason = Reason.TOO_MANY_CONNECTIONS) -> bytes:
    """Return the disconnect packet, unencrypted as before the key exchange.

    Our identification line must have been sent before it.
    """
    payload = bytes([_SSH_MSG_DISCONNECT]) + reason.to_bytes(4) + _string(text) + _string("")
    padding = _BLOCK_BYTES - (5 + len(payload)) % _BLOCK_BYTES
    if padding < 4:
        padding += _BLOCK_BYTES
    return (1 + len(payload) + padding).to_bytes(4) + bytes([padding]) + payload + bytes(padding)


def _string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4) + data
