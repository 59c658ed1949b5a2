"""A command at a terminal of the test's own: of any size, and with every byte as it was sent."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence

from tests.stage import until


class RawTerminal:
    """What is written to it is kept, as text, in the order in which it came."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], columns: int, lines: int
    ) -> None:
        self._master, slave = os.openpty()
        self._written = bytearray()
        self.has_size(columns, lines)
        self._process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        fcntl.fcntl(self._master, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._master)

    def has_size(self, columns: int, lines: int, *, pixels: tuple[int, int] = (0, 0)) -> None:
        """ssh learns of it by the signal that it gets as its terminal's foreground process."""
        size = struct.pack("HHHH", lines, columns, *pixels)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        if hasattr(self, "_process"):
            self._process.send_signal(signal.SIGWINCH)

    def sends(self, data: bytes) -> None:
        os.write(self._master, data)

    def screen(self) -> str:
        """All that was written so far, control sequences too."""
        return self._written.decode(errors="replace")

    def shows(self, text: str, within: float) -> None:
        until(lambda: text in self.screen(), f"{text!r} in {self.screen()!r}", within)

    def ended(self, within: float) -> int:
        """The command's exit status, once it has ended."""
        until(lambda: self._process.poll() is not None, f"the end: {self.screen()!r}", within)
        self._reader.join(within)
        return self._process.wait()

    def leaves(self, key: bytes, within: float) -> None:
        """Press `key` until the command has ended: ssh takes no key before it is connected."""

        def is_over() -> bool:
            if self._process.poll() is None:
                self.sends(key)
            return self._process.poll() is not None

        until(is_over, f"the end: {self.screen()!r}", within)

    def kills(self) -> None:
        """The command is gone without a word."""
        self._process.kill()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # Linux: EIO where others have an end of file
                return
            if not chunk:
                return
            self._written += chunk
