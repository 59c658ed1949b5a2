"""Whether loopback has more addresses than 127.0.0.1: Linux's has 127.0.0.0/8, macOS's does not.
And a name that leads nowhere.
"""

from __future__ import annotations

import socket

import pytest

SECOND = "127.0.0.2"
# Longer than any name may be (RFC 1035 §2.3.4), so no name server is asked for it.
UNKNOWN_NAME = ".".join(["a" * 60] * 5)
# And names that Python refuses to ask for: labels of no byte, or of more than 63 (RFC 1035 §2.3.4).
NO_NAMES = (UNKNOWN_NAME, "a..b", "a" * 64)


def has(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


needs_second_address = pytest.mark.skipif(not has(SECOND), reason="loopback has 127.0.0.1 alone")
