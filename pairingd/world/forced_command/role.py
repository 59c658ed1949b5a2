"""The role in which a guest is in: `join.sh` serves those who may write, `glass.py` the others.

Read from the process and changed by a signal to it. What tmux says of a client proves nothing: its
flags can be changed by bindings and hooks.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path

from pairingd.core.model import Access
from pairingd.live import invitation_of

_PROGRAMS = {"/join.sh": Access.WRITE, "/glass.py": Access.READ}
_MARK = 5  # words after the program: PYTHON TMUX SOCKET SESSION MARK
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


def logged_in(sshds: Collection[int]) -> dict[int, str]:
    """The invitations whose forced commands run below these connections: one look at every
    process. sshd starts one for nobody but who has logged in.
    """
    import psutil

    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]) if sshds else ():
        children.setdefault(process.info["ppid"], []).append(process.pid)
    found: dict[int, str] = {}
    for sshd in sshds:
        below = list(children.get(sshd, ()))
        for pid in below:
            below += children.get(pid, ())
            if invitation := _invitation_of(pid):
                found[sshd] = invitation
    return found


def _invitation_of(pid: int) -> str:
    """That a forced command names by its mark; "" for another process."""
    words = _words(pid)
    for place, word in enumerate(words[:-_MARK]):
        if word.endswith(tuple(_PROGRAMS)):
            return invitation_of(Path(words[place + _MARK]).name)
    return ""


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
    words = _words(pid) if pid else []
    for program, role in _PROGRAMS.items():
        if any(word.endswith(program) for word in words):
            return role
    return None


def _words(pid: int) -> list[str]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).cmdline()
    return []


def change_role(pid: int | None, access: Access) -> None:
    """Ask for it; the guest is attached again soon. `role_of` says whether that is done."""
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, _SIGNALS[access])
