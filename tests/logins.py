"""What the guests of the tests tell ssh besides the printed command."""

from __future__ import annotations

from typing import Final

# Of OpenSSH's first choice, sntrup761x25519-sha512, a login costs 0.05 s of CPU time more (OpenSSH
# 9.2), and the tests log in more than a thousand times.
QUICK: Final = ("-o", "KexAlgorithms=curve25519-sha256")

options: list[str] = []  # none but under pytest: the demo and the benchmarks take what ssh takes
