"""Acknowledges what a client sends at once while it logs in (Linux).

A login is small packets back and forth. The client holds the second of two back until the first is
acknowledged (Nagle, RFC 896), and the kernel acknowledges late, by up to 40 ms, what it expects to
answer soon. TCP_QUICKACK ends that only until the next answer (tcp(7)), so it is set again every
_INTERVAL_S. Keystrokes do not need it: each is answered by its echo.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

_INTERVAL_S = 0.004
_AFTER_LOGIN_S = 1.0  # for the requests of a terminal and a command, and the first screen


class Acknowledgements:
    """One timer for all connections, while any logs in."""

    def __init__(self) -> None:
        self._until: dict[socket.socket, float] = {}
        self._timer: asyncio.Handle | None = None

    def hasten(self, connection: socket.socket, seconds: float) -> None:
        """For `seconds`, or until `leave`."""
        loop = asyncio.get_running_loop()
        self._until[connection] = loop.time() + seconds
        self._timer = self._timer or loop.call_soon(self._again)

    def logged_in(self, connection: socket.socket) -> None:
        """Hasten it for _AFTER_LOGIN_S more."""
        if connection in self._until:
            self.hasten(connection, _AFTER_LOGIN_S)

    def leave(self, connection: socket.socket) -> None:
        """Call it before the connection is closed."""
        self._until.pop(connection, None)

    def _again(self) -> None:
        if sys.platform != "linux":  # macOS has no such option; the handle then stays set
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._until = {
            connection: until for connection, until in self._until.items() if until > now
        }
        for connection in self._until:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._timer = loop.call_later(_INTERVAL_S, self._again) if self._until else None
