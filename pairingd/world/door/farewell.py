"""Sends a refused client the reason, in a disconnect message that ssh prints."""

from __future__ import annotations

import asyncio
import socket
from math import ceil

from pairingd.core.admission import Refusal
from pairingd.core.durations import format_duration
from pairingd.core.ssh_wire import IDENTIFICATION, Reason, disconnect
from pairingd.world.door.progress import has_sent

_LINGER_S = 1.0
_MAX_LINGERING = 32  # sockets
_READ_BYTES = 1 << 16


def message(refusal: Refusal, wait_s: float = 0.0) -> bytes:
    """For a client that has our identification line. `wait_s`: until it may try again."""
    foreign = refusal in {Refusal.NOT_SSH, Refusal.NO_IDENTIFICATION}
    reason = Reason.PROTOCOL_ERROR if foreign else Reason.TOO_MANY_CONNECTIONS
    when = f" in {format_duration(ceil(wait_s))}" if wait_s > 0 else ""
    return disconnect(refusal.value + when, reason)


class Farewells:
    """Sockets that were sent the reason. Each is closed once the peer has closed its side.

    Closing a socket with unread data of the peer resets the connection, and our message may be lost
    with it. So what the peer still sends is read and dropped, for _LINGER_S at most.
    """

    def __init__(self) -> None:
        self._lingering: dict[socket.socket, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._lingering)

    def refuse(self, refused: socket.socket, refusal: Refusal, wait_s: float = 0.0) -> None:
        """Send the reason and close `refused`, which nobody else uses. Our identification line goes
        first, unless an sshd has sent its own.
        """
        loop = asyncio.get_running_loop()
        try:
            refused.setblocking(False)
            line = b"" if has_sent(refused) else IDENTIFICATION
            refused.send(line + message(refusal, wait_s))
            refused.shutdown(socket.SHUT_WR)
        except OSError:
            refused.close()
            return
        if len(self._lingering) >= _MAX_LINGERING:
            self._close(next(iter(self._lingering)))
        self._lingering[refused] = loop.call_later(_LINGER_S, self._close, refused)
        loop.add_reader(refused, self._drain, refused)

    def _drain(self, refused: socket.socket) -> None:
        try:
            if refused.recv(_READ_BYTES):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # also ETIMEDOUT and EHOSTUNREACH
            pass
        self._close(refused)

    def _close(self, refused: socket.socket) -> None:
        self._lingering.pop(refused).cancel()
        asyncio.get_running_loop().remove_reader(refused)
        refused.close()
