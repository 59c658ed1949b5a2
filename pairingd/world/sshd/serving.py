"""The program that serves one connection, and how what it starts is reached."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from typing import NamedTuple, Protocol

Version = tuple[int, int]


class Writable(Protocol):
    """A file or socket."""

    def fileno(self) -> int: ...


class Announcement(NamedTuple):
    """A `line` that goes to the descriptor `to` before there is an sshd; `$$` in it is its pid. So
    there is no moment at which nobody knows of it.
    """

    line: str
    to: Writable


class Reach(Protocol):
    """Signals to the processes of one connection."""

    def end(self, number: signal.Signals) -> None:
        """To all of them, SIGTERM or SIGKILL; one that is stopped goes on, to act on it."""

    def send(self, process: int, number: signal.Signals) -> None:
        """To one."""

    def guard(self, seconds: float) -> None:
        """They must be over in so long, whatever becomes of us. No more than a second lock."""

    def close(self) -> None:
        """The connection is over."""


class Started(NamedTuple):
    """An sshd for one connection."""

    process: asyncio.subprocess.Process
    reach: Reach


class Server(Protocol):
    """An sshd, whoever it runs as."""

    async def prepare(self) -> Version:
        """As Sshd.prepare."""

    async def start(
        self,
        connection: socket.socket,
        records: Writable,
        announcement: Announcement | None = None,
    ) -> Started:
        """As Sshd.start."""


class Own:
    """The processes of one connection, in a group of our own user's; its guardian is `door`'s."""

    def __init__(self, group: int) -> None:
        self._group = group

    def end(self, number: signal.Signals) -> None:
        """To the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)
            os.killpg(self._group, signal.SIGCONT)

    @staticmethod
    def send(process: int, number: signal.Signals) -> None:
        """Nothing where it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    def guard(self, seconds: float) -> None:
        """Nothing: the guardian has heard it."""

    def close(self) -> None:
        """Nothing to close."""


async def execute(
    argv: Sequence[str], connection: socket.socket, output: int, records: Writable
) -> asyncio.subprocess.Process:
    """What serves one connection: its standard input is `connection`, its log goes to `records`."""
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=connection.fileno(),
        stdout=output,
        stderr=records.fileno(),
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TZ": "UTC0"},
        cwd="/",
        # As a listening sshd does (sshd.c, setsid): Linux shares its CPU time out by sessions
        # (sched_autogroup), and 50 logins in one of them took 1.7 times as long (measured).
        start_new_session=True,
    )
