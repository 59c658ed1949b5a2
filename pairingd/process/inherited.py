"""What exec(3) hands on: a launcher's ignored signals stay ignored, its blocked ones stay blocked,
its closed streams stay closed, and its environment stays, in this process and in all its children.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_paths_as_given: dict[str | None, str] = {}  # by what is left of them
# Python ignores these itself, and gives them back to its children (subprocess: restore_signals).
_PYTHON_IGNORES = {signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)}


def reset_signals() -> None:
    """Ignore and block none, as daemon(7) asks of a daemon's start.

    With SIGCHLD ignored no process hears how its children end (waitpid(2)), and a shell cannot trap
    a signal that was ignored at its start (POSIX, trap): a guest's role changes by SIGURG.
    """
    for number in signal.valid_signals() - _PYTHON_IGNORES:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def open_closed_streams() -> None:
    """Open standard streams that the launcher has closed on /dev/null: else the next file or socket
    would get their numbers. Writing to stdout then fails, as it should, because it is open for
    reading.
    """
    for name, flags, mode in (
        ("stdin", os.O_RDONLY, "r"),
        ("stdout", os.O_RDONLY, "w"),
        ("stderr", os.O_WRONLY, "w"),
    ):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode))


def silence(stream: TextIO) -> None:
    """Discard what its buffer still holds: the interpreter would fail to flush it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def unset_empty_home() -> None:
    """Unset an empty HOME. With it `~` would be `/`; without it, the home of our account."""
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]


def leave_the_working_directory() -> None:
    """Take out of PATH what depends on the working directory: somebody else may have laid programs
    there, by a name that this machine does not have otherwise.
    """
    given = os.environ.pop("PATH", "")
    if absolute := [place for place in given.split(os.pathsep) if place.startswith("/")]:
        os.environ["PATH"] = os.pathsep.join(absolute)
    if given:
        _paths_as_given[os.environ.get("PATH")] = given


def as_given() -> dict[str, str]:
    """Return the environment with PATH as it came, for a shell of the user's."""
    path = os.environ.get("PATH")
    given = _paths_as_given.get(path, path)
    return {**os.environ, **({} if given is None else {"PATH": given})}


def hear_of_children() -> None:
    """Do not ignore SIGCHLD; for a program in the foreground, whose launcher may rightly have it
    ignore others (nohup).
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
