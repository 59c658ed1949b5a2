"""Checks that the process at the control socket's other end belongs to the same user.

Daemon and clients check it with the same code, before they read or write a byte. Standard library
only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys

from pairingd.core.refusal import PairingError
from pairingd.home import private

_LOCAL_PEERCRED = 1  # <sys/un.h> of macOS; the level is 0, SOL_LOCAL
_LOCAL_PEERPID = 2
_XUCRED = struct.Struct("=II")  # cr_version and cr_uid of <sys/ucred.h>; the groups follow
_UCRED = struct.Struct("3i")  # pid, uid and gid of <sys/socket.h>
# Of connect(2). A file that is no socket: Linux refuses the connection, macOS says ENOTSOCK.
_NOBODY_LISTENS = {errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ENOTSOCK}


def uid(connection: socket.socket) -> int:
    """Return the peer's user from the kernel: a client's when it connected, a server's when it
    began to listen. unix(7), SO_PEERCRED; on macOS unix(4), LOCAL_PEERCRED (not run).
    """
    if sys.platform == "darwin":
        return int(_XUCRED.unpack(connection.getsockopt(0, _LOCAL_PEERCRED, 76)[:8])[1])
    return int(_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, 17, _UCRED.size))[1])


def pid(connection: socket.socket) -> int:
    """Return the peer's process, as `uid`; on macOS unix(4), LOCAL_PEERPID (not run)."""
    if sys.platform == "darwin":
        return connection.getsockopt(0, _LOCAL_PEERPID)
    return int(_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, 17, _UCRED.size))[0])


def has_hung_up(connection: socket.socket) -> bool:
    """Whether the other end is closed, not only for writing. poll(2), POLLHUP.

    By POLLOUT: macOS reports nothing where no event is requested, and with POLLIN also an end that
    is closed for writing alone (xnu, sys_generic.c, poll_nocancel; not run).
    """
    if connection.fileno() < 0:
        return True
    poller = select.poll()
    poller.register(connection, select.POLLOUT)
    return any(event & select.POLLHUP for _, event in poller.poll(0))


def nobody_listens(error: OSError) -> bool:
    """Whether connect(2) failed because there is no server at the path; another error proves
    nothing.
    """
    return error.errno in _NOBODY_LISTENS


def connect(path: str, seconds: float) -> socket.socket:
    """Connect to a server of the same user, in a directory of the same user.

    Raises PairingError `unsafe-home` or `foreign-daemon` before any byte is exchanged, and OSError,
    about which see `nobody_listens`.
    """
    private.find_directory(os.path.dirname(path))  # noqa: PTH120 - as in pairingd.home.private
    private.find(path)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(path)
        listener = uid(connection)
    except BaseException:
        connection.close()
        raise
    if listener != os.getuid():
        connection.close()
        raise PairingError(
            "foreign-daemon",
            f"another user (uid {listener}) listens at {path}",
            "end that process, or set PAIRING_HOME to a directory of your own",
        )
    return connection
