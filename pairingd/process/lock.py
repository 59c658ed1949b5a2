"""The lock of a home (flock(2)): its one daemon holds it from start to end, and signs it.

Standard library only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import fcntl
import os
import time

# flock can be tried but not asked, so whoever looks has the lock for that moment; a daemon that
# starts then must not take them for another daemon.
_PATIENCE = 0.2  # seconds
_PAUSE = 0.01


class Taken(Exception):
    """A daemon holds the lock. `pid` is what it has written there, or "unknown"."""

    def __init__(self, pid: str) -> None:
        super().__init__(pid)
        self.pid = pid


def take(path: str, flags: int = 0) -> int:
    """A descriptor that holds the lock until it is closed. Raises Taken, and OSError as open(2)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        _wait(descriptor)
        removed = not os.fstat(descriptor).st_nlink  # in between, by `pairctl uninstall`
    except BaseException:
        os.close(descriptor)
        raise
    if removed:
        os.close(descriptor)
        return take(path, flags)
    return descriptor


def sign(descriptor: int) -> None:
    """Write our pid where `Taken` finds it."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _wait(descriptor: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise Taken(pid or "unknown") from None
            time.sleep(_PAUSE)
        else:
            return
