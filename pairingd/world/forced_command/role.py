"""The role in which a guest is in: `join.sh` serves those who may write, `glass.py` the others.

Read from the process and changed by a signal to it. What tmux says of a client proves nothing: its
flags can be changed by bindings and hooks.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

from pairingd.core.model import Access

_PROGRAMS = {"/join.sh": Access.WRITE, "/glass.py": Access.READ}
_SIGNALS = {Access.WRITE: signal.SIGUSR1, Access.READ: signal.SIGUSR2}


def forced_command(sshd: int) -> int | None:
    """The pid of the forced command behind a connection, None while it has none.

    For one that tmux has not shown yet: this looks at every process of the machine.
    """
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(sshd).children(recursive=True):
            if role_of(process.pid):
                return process.pid
    return None


def connection_of(process: int, connections: Collection[int]) -> int | None:
    """The one of `connections`, pids of sshds, through which a guest has started `process`."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for above in psutil.Process(process).parents():
            if above.pid in connections:
                return above.pid
    return None


def role_of(pid: int | None) -> Access | None:
    """The role that the forced command with this pid gives; None where it is none.

    `join.sh` becomes `glass.py` for a read guest, within milliseconds of its start.
    """
    import psutil

    with contextlib.suppress(psutil.Error):
        words = psutil.Process(pid).cmdline() if pid else []
        for program, role in _PROGRAMS.items():
            if any(word.endswith(program) for word in words):
                return role
    return None


def change_role(pid: int | None, access: Access) -> None:
    """Ask for it; the guest is attached again soon. `role_of` says whether that is done."""
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, _SIGNALS[access])
