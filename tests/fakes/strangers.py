"""Strangers at a door: connections from several addresses that never log in.

Prints "ready" once each of them has been opened. They go on until this process is ended.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import time
from collections.abc import Sequence

STEP = 0.02  # seconds


class Stranger:
    """One connection, opened again and again. `dribble` seconds after each byte comes another."""

    def __init__(self, arguments: argparse.Namespace, source: str) -> None:
        self._to = ("127.0.0.1", arguments.port)
        self._source = source
        self._says = arguments.says.encode().decode("unicode_escape").encode("latin-1")
        self._dribble = arguments.dribble
        self._reopen = arguments.reopen
        self._again = arguments.again
        self._opened = 0.0
        self._said = 0.0
        self._socket: socket.socket | None = None
        self.open(time.monotonic())

    def step(self, now: float) -> None:
        if self._socket is None:
            if now >= self._opened + self._again:
                self.open(now)
        elif (self._reopen and now >= self._opened + self._reopen) or self._is_over():
            self._socket.close()
            self._socket = None
            if self._reopen:
                self.open(now)
        elif self._dribble and now >= self._said + self._dribble:
            self._said = now
            with contextlib.suppress(OSError):
                self._socket.send(b"x")

    def open(self, now: float) -> None:
        self._opened = self._said = now
        opened = socket.socket()
        try:
            opened.bind((self._source, 0))
            opened.connect(self._to)
            opened.sendall(self._says)
            opened.setblocking(False)
        except OSError:
            opened.close()
        else:
            self._socket = opened

    def _is_over(self) -> bool:
        assert self._socket
        try:
            return not self._socket.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            return True


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--from", dest="sources", nargs="+", required=True)
    parser.add_argument("--each", type=int, default=3, help="connections of each address")
    parser.add_argument("--says", default="", help="at once; may have escapes")
    parser.add_argument("--dribble", type=float, default=0.0, help="seconds a byte")
    parser.add_argument("--reopen", type=float, default=0.0, help="seconds after the opening")
    parser.add_argument("--again", type=float, default=1e9, help="seconds from an end to the next")
    arguments = parser.parse_args(argv)
    strangers = [
        Stranger(arguments, source) for _ in range(arguments.each) for source in arguments.sources
    ]
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        for stranger in strangers:
            stranger.step(now)
        time.sleep(STEP)


if __name__ == "__main__":
    main()
