"""Makes the Python of the bed's environment say that it runs on macOS, and behave so where we ask.

Loaded by a .pth file before any of our code. What of the standard library decides by the platform
is imported first, and stays Linux's inside.
"""

from __future__ import annotations

import asyncio  # noqa: F401
import concurrent.futures  # noqa: F401
import ctypes.util  # noqa: F401
import errno
import fcntl
import ipaddress
import logging.handlers  # noqa: F401
import multiprocessing  # noqa: F401
import os
import platform  # noqa: F401
import resource
import select
import selectors  # noqa: F401
import shutil  # noqa: F401
import signal
import socket
import sqlite3  # noqa: F401
import ssl  # noqa: F401
import struct
import subprocess
import sys
import sysconfig  # noqa: F401
import tempfile  # noqa: F401
import time
import types
import uuid  # noqa: F401
import weakref
from pathlib import Path

import psutil

DENIED = "/private/var/db/local-network-denied"
# What Python has on Linux and not on macOS. Not epoll, by which asyncio waits here.
LINUX_ALONE = {
    fcntl: ("F_ADD_SEALS", "F_GETPIPE_SZ", "F_SETPIPE_SZ"),
    os: (
        *(
            "O_PATH",
            "O_TMPFILE",
            "copy_file_range",
            "eventfd",
            "fdatasync",
            "getrandom",
            "getresuid",
        ),
        *("getxattr", "listxattr", "memfd_create", "pidfd_open", "pipe2", "posix_fadvise"),
        *("posix_fallocate", "removexattr", "sched_getaffinity", "setns", "setresuid", "setxattr"),
        *("splice", "unshare"),
    ),
    resource: ("RLIMIT_SIGPENDING", "prlimit"),
    signal: ("SIGPWR", "SIGRTMIN", "SIGSTKFLT", "pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    socket: (
        *(
            "AF_NETLINK",
            "AF_PACKET",
            "AF_VSOCK",
            "SOCK_CLOEXEC",
            "SOCK_NONBLOCK",
            "SO_BINDTODEVICE",
        ),
        *("SO_PASSCRED", "SO_PEERCRED", "TCP_INFO", "TCP_QUICKACK", "TCP_USER_TIMEOUT"),
    ),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI"),
}
_RTNETLINK_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # links; addresses and routes, IPv4 and IPv6
# rtnetlink(7)'s message types, and the ones of <net/route.h> that say the same.
_ROUTE_MESSAGES = {16: 0xE, 17: 0xE, 20: 0xC, 21: 0xD, 24: 0x1, 25: 0x2}
_SO_PEERCRED = 17

_getsockopt, _connect, _sendto = (
    socket.socket.getsockopt,
    socket.socket.connect,
    socket.socket.sendto,
)
_open, _recv = socket.socket.__init__, socket.socket.recv
_accept, _setsockopt = socket.socket.accept, socket.socket.setsockopt
_poll = select.poll
_unlink = os.unlink
_cmdline = psutil.Process.cmdline
_glob = Path.glob
_POLLRDHUP = 0x2000  # poll(2) of Linux
_accepted: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def getsockopt(self, level, option, *size):  # type: ignore[no-untyped-def]
    """LOCAL_PEERCRED of unix(4): struct xucred, version 0; LOCAL_PEERPID."""
    if (level, option, size) == (0, 2, ()):
        return struct.unpack("3i", _getsockopt(self, socket.SOL_SOCKET, _SO_PEERCRED, 12))[0]
    if (level, option, size) == (0, 1, (76,)):
        _, uid, gid = struct.unpack("3i", _getsockopt(self, socket.SOL_SOCKET, _SO_PEERCRED, 12))
        return struct.pack("=IIhxx16I", 0, uid, 1, gid, *[0] * 15)
    return _getsockopt(self, level, option, *size)


def accept(self):  # type: ignore[no-untyped-def]
    """Of a connection that was reset before, an IPv6 listener gets no address: dotnet/runtime#121848."""
    connection, address = _accept(self)
    _accepted.add(connection)
    return connection, None if self.family == socket.AF_INET6 and is_reset(connection) else address


def setsockopt(self, *option) -> None:  # type: ignore[no-untyped-def]
    """Nothing can be set any more once the connection was reset: uipc_socket.c, sosetoptlock."""
    if self in _accepted and is_reset(self):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    _setsockopt(self, *option)


def is_reset(connection) -> bool:  # type: ignore[no-untyped-def]
    try:
        connection.getpeername()
    except OSError:
        return True
    return False


def open_socket(self, family=-1, *rest, **more):  # type: ignore[no-untyped-def]
    """AF_ROUTE is AF_NETLINK here: it is made to get what the routing socket of route(4) gets."""
    _open(self, family, *rest, **more)
    if family == socket.AF_ROUTE and more.get("fileno") is None:
        self.bind((0, _RTNETLINK_GROUPS))


def recv(self, size, *flags):  # type: ignore[no-untyped-def]
    message = _recv(self, size, *flags)
    if self.family != socket.AF_ROUTE:
        return message
    kind = _ROUTE_MESSAGES.get(struct.unpack_from("=IH", message)[1], 0x4)
    return struct.pack("=HBBHxxi", 92, 5, kind, 4, 0).ljust(92, b"\0")


def unlink(path, **options) -> None:  # type: ignore[no-untyped-def]
    """unlink(2): EPERM for a directory."""
    try:
        _unlink(path, **options)
    except IsADirectoryError as error:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), error.filename) from None


def is_denied(address) -> bool:  # type: ignore[no-untyped-def]
    """Local Network privacy, TN3179: to what launchd started, and its children; not to Terminal's."""
    if not Path(DENIED).exists() or "XPC_SERVICE_NAME" not in os.environ:
        return False
    try:
        ip = ipaddress.ip_address(address[0].partition("%")[0])
    except ValueError:
        return False
    return ip.is_multicast or (ip.is_private and not ip.is_loopback)


def connect(self, address):  # type: ignore[no-untyped-def]
    if self.type == socket.SOCK_DGRAM and self.family != socket.AF_UNIX and is_denied(address):
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    if self.family == socket.AF_UNIX and Path(address).exists() and not Path(address).is_socket():
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))  # uipc_usrreq.c, unp_connect
    return _connect(self, address)


def sendto(self, data, *rest):  # type: ignore[no-untyped-def]
    if self.family != socket.AF_UNIX and is_denied(rest[-1]):
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    return _sendto(self, data, *rest)


def glob(self, pattern):  # type: ignore[no-untyped-def]
    """There is no /proc, for who looks through it; psutil reads it in another way."""
    return iter(()) if str(self) == "/proc" else _glob(self, pattern)


def cmdline(self):  # type: ignore[no-untyped-def]
    """Only of one's own processes: KERN_PROCARGS2, kern_sysctl.c, sysctl_procargsx."""
    if os.getuid() not in {0, self.uids().real}:
        raise psutil.AccessDenied(self.pid)
    return _cmdline(self)


class Poll:
    """poll(2) as xnu makes it of kqueue(2): nothing is reported of what has no events, and
    POLLHUP with POLLIN also where the other end is closed for writing alone (sys_generic.c).
    """

    def __init__(self) -> None:
        self._poll = _poll()

    def register(self, descriptor, events=select.POLLIN | select.POLLPRI | select.POLLOUT):  # type: ignore[no-untyped-def]
        if events:
            self._poll.register(descriptor, events | (_POLLRDHUP if events & 1 else 0))

    def unregister(self, descriptor) -> None:  # type: ignore[no-untyped-def]
        self._poll.unregister(descriptor)

    def poll(self, timeout=None):  # type: ignore[no-untyped-def]
        return [
            (descriptor, event & ~_POLLRDHUP | select.POLLHUP)
            if event & _POLLRDHUP
            else (descriptor, event)
            for descriptor, event in self._poll.poll(timeout)
        ]


def system_proxies() -> types.ModuleType:
    """_scproxy, of a Mac without proxies. After a fork without exec SystemConfiguration crashes."""
    module = types.ModuleType("_scproxy")
    forked: list[int] = []
    os.register_at_fork(after_in_child=lambda: forked.append(os.getpid()))

    def get_proxies() -> dict[str, str]:
        if forked:
            os.abort()
        return {}

    vars(module).update(
        _get_proxies=get_proxies, _get_proxy_settings=lambda: {"exclude_simple": False}
    )
    return module


def become() -> None:
    for module, names in LINUX_ALONE.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    vars(subprocess)["_CAN_USE_PIDFD_OPEN"] = False  # as on a Mac, from Python 3.15 on
    vars(os)["process_cpu_count"] = os.cpu_count  # as os.py has it without sched_getaffinity
    for name, method in {
        "getsockopt": getsockopt,
        "__init__": open_socket,
        "accept": accept,
        "setsockopt": setsockopt,
        "recv": recv,
        "connect": connect,
        "sendto": sendto,
    }.items():
        setattr(socket.socket, name, method)
    vars(fcntl)["F_FULLFSYNC"] = 51  # Linux refuses it: EINVAL
    os.unlink = unlink
    psutil.Process.cmdline = cmdline  # type: ignore[method-assign]
    Path.glob = glob  # type: ignore[method-assign]
    select.poll = Poll  # type: ignore[misc, assignment]
    sys.modules["_scproxy"] = system_proxies()
    sys.platform = "darwin"


become()
