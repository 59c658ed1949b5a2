"""Which process holds a port, as far as this user may see: root's own are seen by root alone."""

from __future__ import annotations

from pairingd.core.text import one_line


def holder(port: int) -> str:
    """The name and pid of the process that listens on TCP `port`, "" where none is seen."""
    import psutil  # late: only a failure asks

    for process in psutil.process_iter():
        try:
            held = process.net_connections("tcp")
            if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in held):
                return f"{one_line(process.name(), 40)} (pid {process.pid})"
        except psutil.Error:  # another user's, or gone
            continue
    return ""
