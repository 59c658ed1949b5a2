"""Options that the tests add to the printed ssh command."""

from __future__ import annotations

from typing import Final

# By the key exchange that OpenSSH 9.2 prefers, sntrup761x25519-sha512, a login costs 0.05 s of CPU
# time more, and the tests log in more than a thousand times.
# OpenSSH 10.1 and later would warn that it is no post-quantum one.
EXCHANGE: Final = "curve25519-sha256"
QUICK: Final = (
    *("-o", f"KexAlgorithms={EXCHANGE}"),
    *("-o", "IgnoreUnknown=WarnWeakCrypto", "-o", "WarnWeakCrypto=no"),
)

options: list[str] = []  # only pytest adds some: not the demo, not the benchmarks
