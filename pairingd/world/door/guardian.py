"""Ends the connections of a daemon that cannot: one that hangs, or is dead.

    python -I -S guardian.py  (standard input is a Unix stream socket)

Each command is a line. `guard PGID SECONDS`: that process group must be gone in so many seconds;
a later line for the same group replaces this one. `socket PGID`, with a descriptor: the connection
of that group, to be shut down with it, because a daemon that hangs holds it open. `release PGID`:
the group is gone. The end of the input means that the daemon has ended, for whatever reason: then
the guardian ends every group at once.

Each connection is a process group of its own and sends the first of these lines itself, before it
becomes an sshd, so that the guardian always knows of it. The guardian has a session of its own, so
that what ends the daemon's process group does not end it first. Standard library only: this runs
while somebody is connected (measured: 4 MB).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time

LONGEST_SLEEP_S = 15.0  # poll(2) stands still while a laptop sleeps; deadlines do not
KILL_AFTER_S = 1.0  # from SIGTERM


class Guardian:
    """Its data on the groups; `now` is in seconds of a clock that goes on during sleep."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._ending: dict[int, float] = {}  # when each is killed
        self._sockets: dict[int, socket.socket] = {}

    @property
    def idle(self) -> bool:
        return not self._deadlines and not self._ending

    def hear(self, line: bytes, descriptors: list[int], now: float) -> None:
        """Handle one command; ignore anything else. `socket` takes the first descriptor."""
        match line.split():
            case [b"guard", group, seconds] if int(group) > 1:
                self._deadlines[int(group)] = now + float(seconds)
            case [b"socket", group] if descriptors:
                self._sockets[int(group)] = socket.socket(fileno=descriptors.pop(0))
            case [b"release", group]:
                self._deadlines.pop(int(group), None)
                self._ending.pop(int(group), None)
                if connection := self._sockets.pop(int(group), None):
                    connection.close()
            case _:
                pass

    def end_all(self, now: float) -> None:
        for group in self._deadlines:
            self._deadlines[group] = now

    def act(self, now: float) -> float | None:
        """End the groups that are due. Returns the seconds until the next call; None: no need."""
        for group, deadline in [*self._deadlines.items()]:
            if deadline <= now:
                del self._deadlines[group]
                if connection := self._sockets.pop(group, None):
                    _shut_down(connection)
                # A stopped process acts on neither TERM nor the end of its socket.
                if _signalled(group, signal.SIGTERM) and _signalled(group, signal.SIGCONT):
                    self._ending[group] = now + KILL_AFTER_S
        for group, deadline in [*self._ending.items()]:
            if not _signalled(group, 0) or (deadline <= now and _killed(group)):
                del self._ending[group]
        if self._ending:
            return 0.05  # to see whether they are gone
        return min((deadline - now for deadline in self._deadlines.values()), default=None)


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        connection.shutdown(socket.SHUT_RDWR)


def _signalled(group: int, number: int) -> bool:
    """Signal the group; return whether it is there and ours."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS raises the latter for a zombie (not run)
        return False
    return True


def _killed(group: int) -> bool:
    _signalled(group, signal.SIGKILL)
    return True


def _now() -> float:
    """Goes on during sleep, and nobody sets it: clock_gettime(2), on macOS clock_gettime(3)."""
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends once its input and its groups have
    guardian, pending, open_ = Guardian(), b"", True
    descriptors: list[int] = []
    commands = socket.socket(fileno=0)
    ready = select.poll()
    ready.register(commands, select.POLLIN)
    while open_ or not guardian.idle:
        wait = guardian.act(_now())
        milliseconds = int(1000 * min(max(wait or 0.0, 0.0) + 0.001, LONGEST_SLEEP_S))
        if not ready.poll(None if wait is None and open_ else milliseconds) or not open_:
            continue
        chunk, received, _, _ = socket.recv_fds(commands, 1 << 16, 64)
        descriptors += received
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, OSError):
                guardian.hear(line, descriptors, _now())
        if not chunk:
            open_ = False
            ready.unregister(commands)
            guardian.end_all(_now())


if __name__ == "__main__":
    main()
