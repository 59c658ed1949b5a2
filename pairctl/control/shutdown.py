"""Stops the daemon through its control socket, however it was started."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from pairctl.failures import Interrupted, NoDaemon
from pairingd.core.refusal import PairingError
from pairingd.home.paths import find_paths
from pairingd.process.lock import Taken, take

if TYPE_CHECKING:
    from pairctl.control.client import Client

STOP_LIMIT_S = 20.0  # guests, mapping and door are closed within it


def stop(client: Client, limit_s: float = STOP_LIMIT_S) -> None:
    """Make the daemon close everything and exit; return when it has. The tmux session stays.

    Raises PairingError `stop-failed` if it still runs after `limit_s`; Interrupted says what holds.
    """
    pid = client.hello["pid"]
    deadline = time.monotonic() + limit_s
    try:
        with contextlib.suppress(NoDaemon):  # gone before it could answer
            client.call("stop", silence=limit_s)
        _wait(client, pid, limit_s, deadline)
    except KeyboardInterrupt:
        raise _goes_on(pid) from None
    except Interrupted as interrupted:
        raise (_goes_on(pid) if interrupted.code == "not-cancelled" else interrupted) from None


def _goes_on(pid: int) -> Interrupted:
    return Interrupted(
        "goes-on", f"pairingd (pid {pid}) is stopping", "pairctl start starts it again"
    )


def _wait(client: Client, pid: int, limit_s: float, deadline: float) -> None:
    closed = client.until_closed(limit_s)
    while closed and time.monotonic() < deadline:
        if not _holds_lock(pid):
            return
        time.sleep(0.01)
    raise PairingError(
        "stop-failed",
        f"pairingd (pid {pid}) was still running after {limit_s:.0f} s",
        f"kill {pid} ends it; the next start closes what it leaves behind",
    )


def _holds_lock(pid: int) -> bool:
    """Whether that daemon still runs. The pid alone may belong to a zombie or another process."""
    try:
        os.close(take(find_paths().lock))
    except FileNotFoundError:
        return False
    except Taken as taken:
        return taken.pid == str(pid)
    return False
