"""Runs a program in the terminal while this process waits, as if by exec."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Its exit status; 128 + N if signal N has ended it. It stops, continues and terminates as this
    process does.
    """
    pid = os.posix_spawn(argv[0], [*argv], environ)
    before = {
        number: signal.signal(number, lambda received, _: os.kill(pid, received))
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            # tmux(1), suspend-client: the shell must see the stop, or it would show no prompt.
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
