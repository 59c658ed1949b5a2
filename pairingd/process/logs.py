"""The daemon's log: one line an event, in text or JSON.

It goes to a file of its own, rotated here, if nobody else keeps it (detached, launchd); otherwise
to standard error, which a terminal or systemd's journal reads.

It has no whole key, and nothing that passes through a terminal.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import time
from typing import Any, Literal

from pairingd.core.text import printable
from pairingd.process.standard_error import StandardError

SIZE = 1 << 20  # bytes of one file
FILES = 3  # all but the newest have a number after their name

Form = Literal["text", "json"]
# sd-daemon(3): the severities of syslog in front of a line, for the journal.
_SEVERITY = {
    logging.DEBUG: "<7>",
    logging.INFO: "<6>",
    logging.WARNING: "<4>",
    logging.ERROR: "<3>",
}


def set_up(form: Form, file: str | None) -> None:
    """Log to `file`, or to standard error."""
    handler: logging.Handler
    if file is None:
        handler = _to_standard_error()
    else:
        from logging.handlers import RotatingFileHandler

        handler = RotatingFileHandler(
            file, maxBytes=SIZE, backupCount=FILES - 1, encoding="utf-8", errors="replace"
        )
    if form == "json":
        handler.setFormatter(Json())
    else:
        handler.setFormatter(Text(journal=file is None and _is_journal(sys.stderr.fileno())))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _to_standard_error() -> logging.Handler:
    try:
        return StandardError()
    except RuntimeError:  # a daemon that can start no thread still has to close what is open
        return logging.StreamHandler()


def bound_stderr() -> None:
    """Truncate the file behind standard error if it is too long: launchd only appends to it."""
    status = os.fstat(sys.stderr.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size > SIZE:
        os.ftruncate(sys.stderr.fileno(), 0)


class Text(logging.Formatter):
    """A line for people; the traceback of a defect follows it."""

    def __init__(self, *, journal: bool) -> None:
        line = "%(name)s: %(message)s"
        super().__init__(line if journal else f"%(asctime)s %(levelname)s {line}")
        self._journal = journal

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = printable(super().formatMessage(record))
        return _SEVERITY.get(record.levelno, "") + line if self._journal else line

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class Json(logging.Formatter):
    """One object a line; `event` and `data` as the history has them."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "at": f"{moment}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("event", "data"):
            if hasattr(record, name):
                entry[name] = getattr(record, name)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _is_journal(descriptor: int) -> bool:
    """Whether the journal reads `descriptor` itself: systemd.exec(5), JOURNAL_STREAM."""
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
