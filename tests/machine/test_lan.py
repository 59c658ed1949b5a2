"""Every socket that speaks to the router has its errors explained by one function."""

from __future__ import annotations

import errno
import socket

import pytest

from pairingd.errors import GatewayError
from pairingd.machine import lan

OTHERWISE = GatewayError("router-silent", "it is silent", "wait")


@pytest.mark.parametrize(
    ("error", "platform", "code"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "darwin", "local-network-denied"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "linux", "router-silent"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "darwin", "router-silent"),
        (OSError(errno.EHOSTDOWN, "Host is down"), "darwin", "router-silent"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "darwin", "router-silent"),
        (TimeoutError(), "darwin", "router-silent"),
        (socket.gaierror(socket.EAI_NONAME, "not known"), "darwin", "router-silent"),
        (None, "darwin", "router-silent"),
    ],
)
def test_only_what_macos_denies_is_local_network_denied(
    error: OSError | None, platform: str, code: str
) -> None:
    assert lan.explained(error, OTHERWISE, platform).code == code
