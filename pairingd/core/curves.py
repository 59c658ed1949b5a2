"""Check that only its owner can sign for a public key.

OpenSSH does not check: its Ed25519 accepts the points of small order, for which signatures are
possible without a private key. All values are public, so nothing here needs constant time.
"""

from __future__ import annotations

from msgspec import Struct

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


def has_small_order(encoded: bytes) -> bool:
    """Whether 32 bytes of RFC 8032 §5.1.2, in any encoding, are one of Ed25519's eight points
    whose order divides the cofactor.
    """
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    square = y * y % _P
    # The identity and (0, -1), the two where y = 0, and the four that, doubled, lead to these:
    # 2y² = 1 - dy⁴ by RFC 8032 §5.1.4.
    return square in {0, 1} or (_D * square * square + 2 * square - 1) % _P == 0


class Curve(Struct, frozen=True):
    """y² = x³ - 3x + b modulo p, of prime order, so each point is safe (NIST SP 800-186)."""

    name: str
    bits: int
    p: int
    b: int

    def holds(self, x: int, y: int) -> bool:
        """SP 800-56A §5.6.2.3.4: both coordinates are reduced, and on the curve."""
        return (
            0 <= x < self.p
            and 0 <= y < self.p
            and (y * y - x * x * x + 3 * x - self.b) % self.p == 0
        )


P256 = Curve(
    "nistp256",
    256,
    2**256 - 2**224 + 2**192 + 2**96 - 1,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
)
P384 = Curve(
    "nistp384",
    384,
    2**384 - 2**128 - 2**96 + 2**32 - 1,
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
)
P521 = Curve(
    "nistp521",
    521,
    2**521 - 1,
    0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
)
