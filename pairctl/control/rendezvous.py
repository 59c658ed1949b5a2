"""Finds the socket of this home's daemon, even if its XDG_RUNTIME_DIR was another one.

The daemon's lock names the socket. If the socket is gone while the lock is held, SIGUSR1 makes the
daemon bind it again.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from pairctl.failures import NoDaemon, NotRunning, Silent, Stranger
from pairingd.core.refusal import PairingError
from pairingd.machine import peer
from pairingd.process import lock

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

    from pairingd.home.paths import Paths

_POLL_INTERVAL_S = 0.02
_OLDER_DAEMON_TIMEOUT_S = 1.0


def meet(paths: Paths, seconds: float) -> socket.socket:
    """A connection to the daemon. Raises NotRunning `no-daemon` if none runs; Stranger if the
    socket may be another user's; Silent `daemon-unreachable` if one runs and has no socket.
    """
    if connection := _connected(_places(paths, lock.read(paths.lock)), seconds):
        return connection
    from pairingd.process import listeners  # late: most commands are connected by now

    holder = _holder(paths)
    began = time.monotonic()
    asked = False
    while holder:
        older = holder.pid.isdecimal() and not holder.rebinds
        # A daemon that has just started has not signed yet; one that stops will be gone soon.
        if holder.rebinds and not asked:
            listeners.ask_to_rebind(int(holder.pid))
            asked = True
        places = [*_places(paths, holder)]
        if older:  # the signal would end it; its process names the socket
            places += listeners.bound_by(int(holder.pid), "pairingd.sock")
        if connection := _connected(places, seconds):
            return connection
        if time.monotonic() - began > (_OLDER_DAEMON_TIMEOUT_S if older else seconds):
            raise Silent(
                "daemon-unreachable",
                f"pairingd (pid {holder.pid}) is running, and its socket was removed: "
                f"{holder.control_socket or paths.control_socket}",
                f"kill {holder.pid} ends it, and not the tmux session; then: pairctl start",
            )
        time.sleep(_POLL_INTERVAL_S)
        holder = _holder(paths)
    raise NotRunning("no-daemon", "pairingd is not running", "pairctl start")


def _connected(places: Iterable[str], seconds: float) -> socket.socket | None:
    for path in dict.fromkeys(places):
        try:
            return peer.connect(path, seconds)
        except PairingError as refused:
            raise Stranger(refused.code, refused.message, refused.hint) from None
        except OSError as error:
            if peer.nobody_listens(error):
                continue
            raise NoDaemon(
                "no-daemon", f"{path}: {error.strerror or error}", "pairctl restart"
            ) from None
    return None


def _places(paths: Paths, signed: lock.Signature) -> Iterator[str]:
    yield lock.listens_at(signed, paths)
    yield paths.control_socket


def _holder(paths: Paths) -> lock.Signature | None:
    """None if no daemon holds the lock."""
    with contextlib.suppress(OSError):
        try:
            os.close(lock.take(paths.lock))
        except lock.Taken as taken:
            return taken.signature
    return None
