"""What exec(3) hands on: a launcher's ignored signals stay ignored, its blocked ones stay blocked,
and its environment stays, in this process and in all its children.
"""

from __future__ import annotations

import os
import signal

# Python ignores these itself, and gives them back to its children (subprocess: restore_signals).
_PYTHON_IGNORES = {signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)}


def reset_signals() -> None:
    """Ignore and block none, as daemon(7) asks of a daemon's start.

    With SIGCHLD ignored no process hears how its children end (waitpid(2)), and a shell cannot trap
    a signal that was ignored at its start (POSIX, trap): a guest's role changes by SIGUSR1 and
    SIGUSR2.
    """
    for number in signal.valid_signals() - _PYTHON_IGNORES:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def unset_empty_home() -> None:
    """Unset an empty HOME. With it `~` would be `/`; without it, the home of our account."""
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]


def hear_of_children() -> None:
    """Do not ignore SIGCHLD; for a program in the foreground, whose launcher may rightly have it
    ignore others (nohup).
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
