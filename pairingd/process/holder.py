"""Finds the process that holds a port. Only root sees root's own."""

from __future__ import annotations

from pairingd.core.text import one_line


def holder(port: int) -> str:
    """Return name and pid of the process that listens on TCP `port`, "" if none is seen."""
    import psutil  # late: only a failure asks

    for process in psutil.process_iter():
        try:
            connections = process.net_connections("tcp")
            if any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for connection in connections
            ):
                return f"{one_line(process.name(), 40)} (pid {process.pid})"
        except psutil.Error:  # another user's, or gone
            continue
    return ""
