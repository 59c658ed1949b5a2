"""The log on standard error, whose reader may stop reading: Ctrl-S in a terminal, a pager."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from contextlib import suppress

_MAX_WAITING_LINES = 10_000
_LAST_LINES_S = 1.0  # for the reader to take them, at the end


class StandardError(logging.Handler):
    """Writes in a thread, so the daemon keeps its deadlines while nobody reads. Lines for which
    there is no room meanwhile are left out, and counted.

    Raises RuntimeError if no thread can be started.
    """

    def __init__(self) -> None:
        super().__init__()
        self._encoding = sys.stderr.encoding
        self._waiting: deque[bytes] = deque()
        self._left_out = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler
            self.handleError(record)
            return
        with self._changed:
            if len(self._waiting) >= _MAX_WAITING_LINES:
                self._left_out += 1
                return
            if self._left_out:
                self._waiting.append(self._encoded(self.format(self._note())))
                self._left_out = 0
            self._waiting.append(self._encoded(line))
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all is written, but not for long. `logging` calls this at exit."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, _LAST_LINES_S)

    def _encoded(self, line: str) -> bytes:
        return f"{line}\n".encode(self._encoding, "backslashreplace")

    def _note(self) -> logging.LogRecord:
        message, count = "%d lines were left out: nobody read standard error", self._left_out
        return logging.LogRecord(__name__, logging.WARNING, "", 0, message, (count,), None)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting[0]
            with suppress(OSError):  # nobody will ever read it
                while line:  # not by sys.stderr, whose lock would be held at exit
                    line = line[os.write(2, line) :]
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()
