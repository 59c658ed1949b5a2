"""Why a socket call to a host of the local network failed: one explanation for all that make one.

Local Network privacy (macOS 15; Apple TN3179) refuses a program its neighbours with EHOSTUNREACH:
the connect of a datagram socket, what is sent to one or to a multicast group, or a TCP connection.
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
    """`local-network-denied` where that is the cause, else what the caller makes of it."""
    return denied() if is_denied(error, platform) else otherwise
