"""How far a login is, by the kernel's data on its socket: sshd itself does not report it."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys
import termios

from pairingd.core.admission import LOGIN_UNDER_WAY, STALLED_AFTER, Progress

# linux/tcp.h, struct tcp_info: tcpi_last_data_sent (ms), tcpi_bytes_received,
# tcpi_data_segs_out (since Linux 4.6).
_INFO = struct.Struct("=44xI80xQ20xI")
_STATE = 0  # tcpi_state, of which these two say that the peer has closed its side (tcp_states.h)
_CLOSED = {7, 8}
_SLOW_S = 3.0  # elsewhere a login that is older counts as stalled


def is_over(connection: socket.socket) -> bool:
    """Whether the peer has gone, though what it sent before is unread."""
    try:
        if sys.platform != "linux":  # not run
            connection.getpeername()  # fails only if it was reset; sshd finds out the rest
            return False
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    except OSError:
        return True
    return info[_STATE] in _CLOSED


def has_sent(connection: socket.socket) -> bool:
    """Whether anything was sent on it."""
    if sys.platform != "linux":  # not run
        return False
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    return len(info) == _INFO.size and _INFO.unpack(info)[-1] > 0


def progress(connection: socket.socket, age: float) -> Progress | None:
    """Of a connection that has had an sshd for `age` seconds. None: unknown now."""
    if sys.platform != "linux":  # not run
        quiet = max(0.0, age - _SLOW_S) + (STALLED_AFTER if age > _SLOW_S else 0.0)
        return Progress(quiet, LOGIN_UNDER_WAY)
    unread = array.array("i", [0])
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        fcntl.ioctl(connection, termios.FIONREAD, unread)
    except OSError:
        return None
    if len(info) < _INFO.size:
        return None
    last_sent, received, segments_sent = _INFO.unpack(info)
    # sshd answers each whole message, so its last answer shows when the peer last made progress:
    # single bytes are none. Before its first message, and with data unread, it is sshd's turn.
    is_sshds_turn = segments_sent == 0 or unread[0] > 0
    return Progress(0.0 if is_sshds_turn else min(last_sent / 1000, age), received)
