"""A command at a terminal of this process's own, so that every byte has a time."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self

SIZE = (24, 80)
ALTERNATE_SCREEN = b"\x1b[?1049h"  # a tmux client's first act on its terminal (terminfo: smcup)


class Terminal:
    """`began` is when the command was started, on time.monotonic."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, slave = os.openpty()
        termios.tcsetwinsize(slave, SIZE)
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Back when the command has ended."""
        self._process.terminate()
        self._process.wait(10)
        os.close(self._master)

    def fileno(self) -> int:
        return self._master

    def read(self) -> bytes:
        """What has come, b"" at the end; call it when there is something."""
        return self._read(0.0)

    def write(self, data: bytes) -> None:
        os.write(self._master, data)

    def sees(self, text: bytes, within: float = 15.0) -> float:
        """When the first byte after the end of `text` could be read, on time.monotonic."""
        seen = b""
        deadline = time.monotonic() + within
        while text not in seen:
            chunk = self._read(deadline - time.monotonic())
            now = time.monotonic()
            assert chunk, f"not within {within} s: {text!r} in {seen!r}"
            seen += chunk
        return now

    def rests(self, quiet: float = 0.2) -> None:
        """Reads on until nothing has come for `quiet` seconds."""
        while self._read(quiet):
            pass

    def ends(self, within: float) -> float:
        """The wall-clock time at which the command let go of the terminal."""
        deadline = time.monotonic() + within
        while self._read(deadline - time.monotonic()):
            pass
        now = time.time()
        assert time.monotonic() < deadline, f"not within {within} s: the end of the command"
        return now

    def _read(self, within: float) -> bytes:
        """What comes next, b"" at the end or when nothing has come in time."""
        ready, _, _ = select.select([self._master], [], [], max(within, 0.0))
        if not ready:
            return b""
        try:
            return os.read(self._master, 65536)
        except OSError:  # Linux: EIO where others have an end of file
            return b""
