"""A notification on the host's desktop: osascript(1) on macOS, notify-send(1) elsewhere.

Best effort: nobody waits for it, and a failure is logged at debug level.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections import Counter

from pairingd.process import programs

log = logging.getLogger(__name__)

_TITLE = "pairing"
_MAX_TEXT_CHARS = 300  # still read at a glance
_MAX_SAME, _RECENT_S = 3, 60.0
# The text is an argument of the script and no part of it; as the second, it is no option.
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)
# A server may read a body as markup (Desktop Notifications Specification, "Markup").
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Desktop:
    """`enabled` False: shows nothing. The session bus may hang, for at most `timeout_s`."""

    def __init__(self, *, enabled: bool = True, timeout_s: float = 5.0) -> None:
        self._enabled = enabled
        self._timeout_s = timeout_s
        self._recent: Counter[str] = Counter()  # texts shown in the last _RECENT_S
        self._showing: set[asyncio.Task[None]] = set()

    def notify(self, text: str) -> None:
        """Returns at once. Shows the same text at most _MAX_SAME times in _RECENT_S: a guest can
        come and go without end.
        """
        argv = command(text)
        if self._enabled and argv and self._recent[text] < _MAX_SAME:
            self._recent[text] += 1
            asyncio.get_running_loop().call_later(_RECENT_S, self._forget, text)
            task = asyncio.create_task(_show(argv, self._timeout_s))
            self._showing.add(task)
            task.add_done_callback(self._showing.discard)

    def _forget(self, text: str) -> None:
        self._recent -= Counter((text,))  # which keeps none of those that are 0


async def _show(argv: list[str], timeout_s: float) -> None:
    try:
        done = await programs.run(*argv, seconds=timeout_s)
    except (OSError, TimeoutError) as error:
        log.debug("no notification by %s: %r", argv[0], error)
        return
    if done.status:
        log.debug("no notification by %s: %s", argv[0], done.last_words)


def command(text: str) -> list[str]:
    """The command to run; empty if the system has no such program."""
    # Only ASCII: programs.run uses the C locale, and notify-send converts from the locale.
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)[:_MAX_TEXT_CHARS]
    if sys.platform == "darwin":
        script = [word for line in _SCRIPT for word in ("-e", line)]
        return ["/usr/bin/osascript", *script, _TITLE, plain]
    program = shutil.which("notify-send")
    if not program:
        return []
    return [program, f"--app-name={_TITLE}", "--", _TITLE, plain.translate(_MARKUP)]
