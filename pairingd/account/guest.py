"""sshd for one guest's connection, as the account, and what ends it there.

    guest.py CONFIG SSHD           stdin is the connection, stdout carries the host's commands
    guest.py CONFIG SSHD end       everything that runs as this user, and tmux's sockets
    guest.py CONFIG SSHD end PID   what a guest has kept from ending in that process group
    guest.py CONFIG SSHD test WORD...   `sshd WORD...`, to test the configuration as this user

The daemon runs as the host and may not signal the account's processes, so this does it. Each line
from the host is a command. `guard SECONDS`: end everything after so many seconds; a later line
replaces this one. `signal PID NUMBER`: signal a process of this user. `end`: end everything now.
At end of file the daemon has ended, for whatever reason: everything ends at once. A write guest
is this user, too, and could stop this process; then the daemon and its own guardian still end the
connection, because they hold its socket. Standard library only: this runs while somebody is
connected.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time

LOGIN_S = 20.5  # until the host's first command: sshd's LoginGraceTime and a guardian's margin
KILL_AFTER_S = 1.0  # from SIGTERM
LONGEST_SLEEP_S = 15.0  # poll(2) stands still while a laptop sleeps; deadlines do not
_CHUNK_BYTES = 1 << 16


class Guardian:
    """Ends this process group: itself and its sshd. `now` comes from a clock that runs in sleep."""

    def __init__(self, connection: socket.socket, now: float) -> None:
        self._connection = connection
        self._deadline = now + LOGIN_S
        self._killed_at: float | None = None

    def hear(self, line: bytes, now: float) -> None:
        """Run one command; ignores what is not one."""
        match line.split():
            case [b"guard", seconds]:
                self._deadline = now + float(seconds)
            case [b"signal", process, number] if int(process) > 1:
                os.kill(int(process), int(number))
            case [b"end"]:
                self.end(now)
            case _:
                pass

    def end(self, now: float) -> None:
        self._deadline = min(self._deadline, now)

    def act(self, now: float) -> float:
        """End what is due. Return the seconds until the next call."""
        if self._killed_at is not None:
            if self._killed_at <= now:
                os.killpg(0, signal.SIGKILL)  # this process, too
            return self._killed_at - now
        if self._deadline > now:
            return min(self._deadline - now, LONGEST_SLEEP_S)
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        os.killpg(0, signal.SIGTERM)
        os.killpg(0, signal.SIGCONT)  # a stopped process acts on nothing else
        self._killed_at = now + KILL_AFTER_S
        return KILL_AFTER_S


def serve(config: str, sshd: str) -> int:
    """Return the exit status of sshd."""
    with contextlib.suppress(PermissionError):  # the leader of its session and group already
        os.setsid()
    connection, commands = socket.socket(fileno=0), socket.socket(fileno=1)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(0, 1)
            os.execv(sshd, [sshd, "-i", "-e", "-f", config])  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)
    # It ends with sshd, or at the end of the host's commands.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ended, wakeup_fd = os.pipe()
    os.set_blocking(wakeup_fd, False)
    signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return _guard(Guardian(connection, _now()), commands, ended, child)


def _guard(guardian: Guardian, commands: socket.socket, ended: int, child: int) -> int:
    """Return the exit status of sshd, once it has ended."""
    ready = select.poll()
    ready.register(ended, select.POLLIN)
    ready.register(commands, select.POLLIN)
    buffer = b""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) & 0xFF
        wait = guardian.act(_now())
        events = dict(ready.poll(1000 * max(wait, 0.0) + 1))
        if ended in events:
            os.read(ended, _CHUNK_BYTES)
        if commands.fileno() in events:
            chunk = commands.recv(_CHUNK_BYTES)
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, OSError):
                    guardian.hear(line, _now())
            if not chunk:
                ready.unregister(commands)
                guardian.end(_now())


def end(config: str, arguments: list[str]) -> int:
    """Return 1 if there was nothing to end."""
    if not arguments:
        _remove_sockets(config)
    try:
        if arguments:
            os.killpg(int(arguments[0]), signal.SIGKILL)
        else:
            os.kill(-1, signal.SIGKILL)  # all of this user's, in one step, but for this process
    except (OSError, ValueError):
        return 1
    return 0


def _remove_sockets(config: str) -> None:
    """Those of the account's tmux, which leaves its own behind."""
    run = os.path.join(os.path.dirname(os.path.dirname(config)), "run")  # noqa: PTH118, PTH120
    with contextlib.suppress(OSError):
        for name in os.listdir(run):  # noqa: PTH208
            if name.endswith(".sock"):
                os.unlink(os.path.join(run, name))  # noqa: PTH108, PTH118


def _now() -> float:
    """Goes on during sleep, and is never set: clock_gettime(2), on macOS clock_gettime(3)."""
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main(argv: list[str]) -> int:
    """Return the exit status."""
    config, sshd, *arguments = argv
    if arguments[:1] == ["end"]:
        return end(config, arguments[1:])
    if arguments[:1] == ["test"]:
        os.execv(sshd, [sshd, *arguments[1:]])  # noqa: S606 - no shell is wanted
    return serve(config, sshd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
