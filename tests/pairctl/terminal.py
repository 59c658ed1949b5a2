"""A command in a terminal of its own: a pseudo-terminal, as /dev/tty and all standard streams."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Any, Self

from tests.waiting import WAIT_S

# A session of its own, in which the terminal on stdin is the controlling one: tty(4).
_ENTER = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    def __init__(
        self,
        words: list[str],
        env: dict[str, str] | None = None,
        *,
        size: tuple[int, int] = (24, 80),
        **popen: Any,
    ) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        streams = {"stdin": slave, "stdout": slave, "stderr": slave, **popen}
        chosen = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        command = [sys.executable, "-c", _ENTER, *words]
        self.process = subprocess.Popen(command, env=chosen, **streams)
        os.close(slave)
        self.seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def send(self, data: bytes) -> None:
        os.write(self._master, data)

    def wait_for(self, text: bytes) -> None:
        """Until `text` is among what was printed since the last text waited for."""
        deadline = time.monotonic() + WAIT_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"no {text!r} in {self.seen!r}"
            assert self._read(0.2), f"ended without {text!r}: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def wait(self) -> int:
        """The exit code; all that was printed is in `seen`."""
        deadline = time.monotonic() + WAIT_S
        while self._read(0.1) and self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self.seen!r}"
        code = self.process.wait(WAIT_S)
        while select.select([self._master], [], [], 0)[0] and self._read(0):
            pass
        return code

    def lflags(self) -> int:
        """Local modes of the terminal: termios(3)."""
        return int(termios.tcgetattr(self._master)[3])

    def _read(self, seconds: float) -> bool:
        """False once the other side is closed."""
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        with contextlib.suppress(OSError):  # Linux: EIO once nobody has it open
            chunk = os.read(self._master, 65536)
            self.seen += chunk
            return bool(chunk)
        return False
