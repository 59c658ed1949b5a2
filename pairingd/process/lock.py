"""The lock of a home (flock(2)): its one daemon holds it from start to end, and signs it.

Three lines: the daemon's pid, its control socket, tmux's socket. The line of a socket beside the
lock is empty. An older daemon wrote only the first line. So every command finds the daemon of its
home, whatever XDG_RUNTIME_DIR was for either.

Standard library only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pairingd.home.paths import Paths

# Only taking the lock shows whether it is free, so a reader holds it for a moment. A daemon that
# starts then must not mistake the reader for another daemon.
_LOCK_TIMEOUT_S = 0.2
_POLL_INTERVAL_S = 0.01
_MAX_SIGNATURE_BYTES = 4096  # a socket's path has about a hundred


class Signature(NamedTuple):
    """What a daemon has written to the lock. "" for a socket that is not named.

    `rebinds`: SIGUSR1 makes that daemon bind its control socket again. It would end an older one.
    """

    pid: str = "unknown"
    control_socket: str = ""
    tmux_socket: str = ""
    rebinds: bool = False


class Taken(Exception):
    """A daemon holds the lock. `pid` is what it has written there, or "unknown"."""

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature.pid)
        self.signature = signature
        self.pid = signature.pid


def take(path: str, flags: int = 0) -> int:
    """Return a descriptor that holds the lock until closed. Raises Taken, or OSError as open(2)."""
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


def is_at(path: str, descriptor: int) -> bool:
    """Whether the lock is still what lies at `path`. False if it or a directory above was removed,
    moved or replaced; then another daemon can take a lock there. True if that cannot be seen.
    """
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116 - as all here
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def watch(path: str, number: int) -> None:
    """Send this process signal `number` from now on whenever the lock at `path` may have gone: when
    a file of its directory is removed or renamed, or the directory renamed (fcntl(2), F_NOTIFY).
    Linux; elsewhere, and where the kernel has no F_NOTIFY, nothing is sent.
    """
    if sys.platform != "linux":
        return
    directory, _, _ = path.rpartition("/")
    watched = (("", fcntl.DN_DELETE | fcntl.DN_RENAME), ("/..", fcntl.DN_RENAME))
    for above, events in watched:
        with contextlib.suppress(OSError):
            descriptor = os.open(directory + above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, number)
            fcntl.fcntl(descriptor, fcntl.F_NOTIFY, events | fcntl.DN_MULTISHOT)


def sign(descriptor: int, control_socket: str, tmux_socket: str) -> None:
    """Write our pid, and the sockets that do not lie beside the lock. A reader finds our signature
    or an earlier one at every moment, also after an OSError.
    """
    text = os.fsencode(f"{os.getpid()}\n{control_socket}\n{tmux_socket}\n")
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def clear(descriptor: int) -> Signature:
    """Return and erase the last daemon's signature: its pid may be another process's by now."""
    signature = _signature(descriptor)
    os.ftruncate(descriptor, 0)
    return signature


def read(path: str) -> Signature:
    """Return the signature without taking the lock; the daemon that wrote it may have ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return Signature()
    try:
        return _signature(descriptor)
    finally:
        os.close(descriptor)


def listens_at(signature: Signature, paths: Paths) -> str:
    """Return the control socket of the daemon that signed; for an older one that of `paths`."""
    beside = paths.control_sockets[-1] if signature.rebinds else paths.control_socket
    return signature.control_socket or beside


def _signature(descriptor: int) -> Signature:
    try:
        lines = os.fsdecode(os.pread(descriptor, _MAX_SIGNATURE_BYTES, 0)).split("\n")
    except OSError:
        return Signature()
    pid, control, tmux, *_ = [*lines, "", "", ""]
    return Signature(pid.strip() or "unknown", control, tmux, rebinds=len(lines) > 3)


def _wait(descriptor: int) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Taken(_signature(descriptor)) from None
            time.sleep(_POLL_INTERVAL_S)
        else:
            return
