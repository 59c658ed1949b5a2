"""Public keys as forges and `.pub` files give them: sshd(8) AUTHORIZED_KEYS lines, no options.

Every byte may be hostile. A key is accepted only if its blob (RFC 4253 §6.6) decodes to its last
byte, so that authorized_keys gets our own rendering and never the received text.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from msgspec import Struct

from pairingd.core import curves, key_formats
from pairingd.core.key_formats import KEY_TYPE, ONE_A_LINE
from pairingd.core.model import Key
from pairingd.core.ssh_wire import fingerprint
from pairingd.core.text import one_line

MAX_LINES = 100  # neither blank nor remarks; nobody has more keys than that
MAX_LINE = 8192  # bytes; the line of a 16384-bit RSA key has 2.8 k
MAX_COMMENT = 100  # characters
MIN_RSA_BITS = 2048
STRONG_RSA_BITS = 3072  # NIST SP 800-57 part 1: 128 bits of security
MAX_RSA_BITS = 16384  # OpenSSH's own limit, sshbuf.h SSHBUF_MAX_BIGNUM

ANOTHER_KEY = "ask them to add an Ed25519 key: ssh-keygen -t ed25519"


class RefusedLine(Struct, frozen=True):
    """`number` counts from 1. `type` is the key type that the line names, "" if it names none."""

    number: int
    reason: str
    type: str = ""
    remedy: str = ONE_A_LINE


class KeyList(Struct, frozen=True):
    keys: tuple[Key, ...]
    refused: tuple[RefusedLine, ...]


class NotAccepted(ValueError):
    """A line has no usable key. `reason` is short and printable, `remedy` the next step."""

    remedy = ONE_A_LINE

    def __init__(self, reason: str, key_type: str = "", remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.type = key_type
        self.remedy = remedy or self.remedy


class WrongKind(NotAccepted):
    """A complete key of an unsupported kind: the guest needs another key."""

    remedy = ANOTHER_KEY


def parse_key_list(content: bytes) -> KeyList:
    """Return each line's key or the reason for none, except for blank lines and `#` remarks.

    A repeated key counts once, with its first comment.
    """
    keys: dict[str, Key] = {}
    refused: list[RefusedLine] = []
    for read, (number, line) in enumerate(key_formats.lines(content)):
        if read == MAX_LINES:
            refused.append(RefusedLine(number, f"beyond the {MAX_LINES} lines that are read"))
            break
        try:
            key = parse_key(line)
        except NotAccepted as error:
            refused.append(RefusedLine(number, error.reason, error.type, error.remedy))
        else:
            keys.setdefault(key.blob, key)
    return KeyList(tuple(keys.values()), tuple(refused))


def parse_key(line: str) -> Key:
    """Parse a line `TYPE BASE64 [COMMENT]`. Raises NotAccepted."""
    if len(line.encode()) > MAX_LINE:
        named = KEY_TYPE.match(line)
        raise NotAccepted(f"longer than {MAX_LINE} bytes", named[0] if named else "")
    key_type, encoded, comment = [*line.split(maxsplit=2), "", "", ""][:3]
    if not KEY_TYPE.fullmatch(key_type):
        form = key_formats.named(line)
        raise NotAccepted(form.name, form.type, form.remedy)
    if key_formats.second_key(comment):
        raise NotAccepted("two keys on one line", key_type)
    try:
        blob = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error, and for non-ASCII text
        raise NotAccepted("not base64", key_type) from None
    try:
        bits = _bits(key_type, blob)
    except NotAccepted as error:
        error.type = key_type
        raise
    return Key(
        type=key_type,
        blob=base64.b64encode(blob).decode(),
        bits=bits,
        fingerprint=fingerprint(blob),
        comment=one_line(comment, MAX_COMMENT),
    )


def type_of(encoded: str) -> str:
    """The type of a whole key whose base64 stands alone; "" if it is none."""
    for key_type in _READERS:
        try:
            return parse_key(f"{key_type} {encoded}").type
        except NotAccepted:
            continue
    return ""


def is_weak(key: Key) -> bool:
    """Whether to warn the host of an accepted key."""
    return key.type == "ssh-rsa" and key.bits < STRONG_RSA_BITS


class _Blob:
    """Reads the fields of RFC 4251 §5 in order."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def string(self) -> bytes:
        size = int.from_bytes(self._rest[:4])
        value = self._rest[4 : 4 + size]
        if len(self._rest) < 4 or len(value) < size:
            raise NotAccepted("a key cut short")
        self._rest = self._rest[4 + size :]
        return value

    def mpint(self) -> int:
        """Accept only non-negative numbers in canonical form: another changes the fingerprint."""
        value = self.string()
        if value[:1] >= b"\x80" or (value[:1] == b"\x00" and value[1:2] < b"\x80"):
            raise NotAccepted("a key with a malformed number")
        return int.from_bytes(value)

    def end(self) -> None:
        if self._rest:
            raise NotAccepted("a key with bytes after its end")


def _bits(key_type: str, content: bytes) -> int:
    """Check the whole blob. Return the key's size as `ssh-keygen -l` prints it."""
    if key_type == "ssh-dss":
        raise WrongKind("a DSA key")
    if "-cert-v" in key_type:
        raise NotAccepted("a certificate, not a key")
    if key_type not in _READERS:
        raise WrongKind(f"a key of type {key_type}")
    blob = _Blob(content)
    if blob.string() != key_type.encode():
        raise NotAccepted("a key of another type than its line says")
    bits = _READERS[key_type](blob)
    blob.end()
    return bits


def _ed25519(blob: _Blob) -> int:
    """RFC 8709 §4, RFC 8032 §5.1.5. Refuses keys with valid signatures without a private key."""
    encoded = blob.string()
    if len(encoded) != 32:
        raise NotAccepted("an Ed25519 key that is not 32 bytes long")
    if curves.has_small_order(encoded):
        raise WrongKind("an Ed25519 key of small order, with which anybody can log in")
    return 256


def _ecdsa(curve: curves.Curve) -> Callable[[_Blob], int]:
    """RFC 5656 §3.1. Like OpenSSH, only uncompressed points (SEC 1 §2.3.3)."""

    def read(blob: _Blob) -> int:
        if blob.string() != curve.name.encode():
            raise NotAccepted("a key on another curve than its type says")
        point = blob.string()
        width = (curve.bits + 7) // 8
        if len(point) != 1 + 2 * width or point[0] != 4:
            raise NotAccepted("a key with a malformed point")
        if not curve.holds(
            int.from_bytes(point[1 : 1 + width]), int.from_bytes(point[1 + width :])
        ):
            raise NotAccepted(f"a key that is not a point on the curve {curve.name}")
        return curve.bits

    return read


def _rsa(blob: _Blob) -> int:
    """RFC 4253 §6.6: e, then n."""
    exponent, modulus = blob.mpint(), blob.mpint()
    bits = modulus.bit_length()
    if bits < MIN_RSA_BITS:
        raise WrongKind(f"an RSA key of {bits} bits; at least {MIN_RSA_BITS} are needed")
    if bits > MAX_RSA_BITS:
        raise WrongKind(f"an RSA key of {bits} bits; at most {MAX_RSA_BITS} make sense")
    if modulus % 2 == 0:
        raise WrongKind("an RSA key with an even modulus")
    # An exponent of 1 lets anybody sign; OpenSSL refuses one above 64 bits (crypto/rsa.h).
    if exponent % 2 == 0 or not 1 < exponent < 1 << 64:
        raise WrongKind("an RSA key with an unsafe exponent")
    return bits


def _security_key(read: Callable[[_Blob], int]) -> Callable[[_Blob], int]:
    """OpenSSH's PROTOCOL.u2f: the plain key, then its application."""

    def read_with_application(blob: _Blob) -> int:
        bits = read(blob)
        if b"\x00" in blob.string():
            raise NotAccepted("a key with a malformed application")
        return bits

    return read_with_application


_READERS = {
    "ssh-ed25519": _ed25519,
    "ecdsa-sha2-nistp256": _ecdsa(curves.P256),
    "ecdsa-sha2-nistp384": _ecdsa(curves.P384),
    "ecdsa-sha2-nistp521": _ecdsa(curves.P521),
    "ssh-rsa": _rsa,
    "sk-ssh-ed25519@openssh.com": _security_key(_ed25519),
    "sk-ecdsa-sha2-nistp256@openssh.com": _security_key(_ecdsa(curves.P256)),
}
