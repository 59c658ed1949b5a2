"""systemd's readiness protocol, sd_notify(3): one datagram to NOTIFY_SOCKET."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*states: str) -> None:
    """Send `READY=1`, `STOPPING=1`, `STATUS=…` to the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):  # Linux's abstract namespace: unix(7)
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        return
    lines = "\n".join(state.replace("\n", " ") for state in states)
    # A manager that does not listen must not end the daemon.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.sendto(lines.encode(), address)
