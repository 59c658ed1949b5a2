"""A program that has the terminal while this one waits, as if this one had become it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Its exit status. It is stopped, continued and terminated together with this process."""
    pid = os.posix_spawn(words[0], [*words], environ)
    before = {
        number: signal.signal(number, lambda received, _: os.kill(pid, received))
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                return max(os.waitstatus_to_exitcode(status), 0)
            # tmux(1), suspend-client: the shell must see it, or its user would have no prompt.
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
