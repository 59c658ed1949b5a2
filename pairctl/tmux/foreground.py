"""Runs a program in the terminal while this process waits, as if by exec."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Its exit status. It stops, continues and terminates together with this process."""
    pid = os.posix_spawn(argv[0], [*argv], environ)
    before = {
        number: signal.signal(number, lambda received, _: os.kill(pid, received))
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                return max(os.waitstatus_to_exitcode(status), 0)
            # tmux(1), suspend-client: the shell must see the stop, or it would show no prompt.
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
