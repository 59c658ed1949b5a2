"""The program that serves one connection, and signals to what it starts."""

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
    """A `line` that goes to the descriptor `to` before there is an sshd, so that the guardian
    always knows of it; `$$` in it is the sshd's pid.
    """

    line: str
    to: Writable


class Reach(Protocol):
    """Signals to the processes of one connection."""

    def end(self, number: signal.Signals) -> None:
        """Signal all of them, SIGTERM or SIGKILL; stopped ones continue, to act on it."""

    def send(self, process: int, number: signal.Signals) -> None:
        """Signal one."""

    def guard(self, seconds: float) -> None:
        """They must end in `seconds`, even if we die. Only a second lock."""

    def close(self) -> None:
        """The connection is over."""


class Started(NamedTuple):
    """An sshd for one connection."""

    process: asyncio.subprocess.Process
    reach: Reach


class Own:
    """The processes of one connection, in a group of our own user's; its guardian is `door`'s."""

    def __init__(self, group: int) -> None:
        self._group = group

    def end(self, number: signal.Signals) -> None:
        """Signal the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)
            os.killpg(self._group, signal.SIGCONT)

    @staticmethod
    def send(process: int, number: signal.Signals) -> None:
        """Does nothing if the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    def guard(self, seconds: float) -> None:
        """Does nothing: the guardian knows it already."""

    def close(self) -> None:
        """Does nothing."""


async def execute(
    argv: Sequence[str],
    connection: socket.socket,
    output: int,
    records: Writable,
    inherited: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start what serves one connection: `connection` is its input, `records` gets its log."""
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=connection.fileno(),
        stdout=output,
        stderr=records.fileno(),
        pass_fds=inherited,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TZ": "UTC0"},
        cwd="/",
        # As a listening sshd does (sshd.c, setsid): Linux shares its CPU time out by sessions
        # (sched_autogroup), and 50 logins in one of them took 1.7 times as long (measured).
        start_new_session=True,
    )
