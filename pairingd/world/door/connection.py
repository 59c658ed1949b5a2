"""One connection that has an sshd, and who is told of it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Protocol

from pairingd.core.model import Access


@dataclass(slots=True)
class Connection:
    """One accepted TCP connection. `fingerprint` is of the key that got in, once one did."""

    pid: int
    peer: str
    since: float
    socket: socket.socket
    process: asyncio.subprocess.Process
    fingerprint: str | None = None
    invitation: str | None = None
    guest: str = ""  # whose it is
    session: str = ""  # the one in which its key was accepted
    failed: bool = False
    attached: bool = False  # has been seen in the tmux session
    absent_since: float | None = None  # when it was first seen not to be
    entered_as: Access | None = None  # the role that its key gave
    command: int | None = None  # the pid of its forced command, once its client was seen
    astray: str = ""  # why it must be cut although its invitation is live
    cut_for: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Watcher(Protocol):
    """Told of connections; each call returns quickly."""

    def connected(self, connection: Connection) -> None:
        """Its process exists and must be journaled."""

    def accepted(self, connection: Connection) -> None:
        """The key `connection.fingerprint` got in; say whose it is."""

    def disconnected(self, connection: Connection) -> None:
        """Its process is gone."""

    def turned_away(self, peer: str, reason: str) -> None:
        """It was refused, or its sshd ended for somebody else's sake."""
