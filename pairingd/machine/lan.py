"""Explains why a socket call to a host on the local network failed.

Local Network privacy (macOS 15; Apple TN3179) denies a program its neighbours with EHOSTUNREACH:
connecting a datagram socket, sending to a neighbour or a multicast group, or a TCP connection.
"""

from __future__ import annotations

import errno
import sys

from pairingd.errors import GatewayError


def is_denied(error: OSError | None, platform: str = sys.platform) -> bool:
    """Whether macOS, and no host or route, is the cause of `error`."""
    return error is not None and error.errno == errno.EHOSTUNREACH and platform == "darwin"


def denied() -> GatewayError:
    return GatewayError(
        "local-network-denied",
        "macOS does not let pairingd reach the local network",
        "allow it in System Settings > Privacy & Security > Local Network",
    )


def explained(
    error: OSError | None, otherwise: GatewayError, platform: str = sys.platform
) -> GatewayError:
    """Return `local-network-denied` if that is the cause, else `otherwise`."""
    return denied() if is_denied(error, platform) else otherwise
