"""A guest's role: `glass.py` gets it as an argument, `join.sh` serves those who may write.

Read from the process and changed by a signal to it. What tmux shows of a client proves nothing:
bindings and hooks can change its flags.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Collection
from pathlib import Path

from pairingd.core.model import Access
from pairingd.state.live import invitation_of

_PS_TIMEOUT_S = 2.0
_JOIN, _GLASS = "/join.sh", "/glass.py"  # and then MARK; after that glass.py has its role
# To the forced command, which then attaches its guest again in the other role. `role_of` shows when
# that is done. One that is just starting misses it, and does not end by it (signal(7)).
ROLE_SIGNAL = signal.SIGURG


def forced_command(sshd: int) -> int | None:
    """The pid of the forced command behind a connection, None while it has none.

    For one that tmux does not show yet: this looks at every process of the machine.
    """
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(sshd).children(recursive=True):
            if role_of(process.pid):
                return process.pid
    return None


def logged_in(sshds: Collection[int]) -> dict[int, str]:
    """The invitations whose forced commands run below these connections: one look at every
    process. sshd starts a forced command only after a login.
    """
    import psutil

    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]) if sshds else ():
        children.setdefault(process.info["ppid"], []).append(process.pid)
    invitations: dict[int, str] = {}
    for sshd in sshds:
        below = list(children.get(sshd, ()))
        for pid in below:
            below += children.get(pid, ())
            if invitation := _invitation_of(pid):
                invitations[sshd] = invitation
    return invitations


def _invitation_of(pid: int) -> str:
    """The invitation that a forced command's mark names; "" for another process."""
    _, mark, _ = _program(pid)
    return invitation_of(Path(mark).name)


def connection_of(process: int, connections: Collection[int]) -> int | None:
    """The one of `connections`, pids of sshds, through which a guest has started `process`."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for above in psutil.Process(process).parents():
            if above.pid in connections:
                return above.pid
    return None


def role_of(pid: int | None) -> Access | None:
    """The role that the forced command with this pid gives; None for another process.

    `join.sh` becomes `glass.py` for most, within milliseconds of its start.
    """
    program, _, role = _program(pid) if pid else ("", "", "")
    if program == _GLASS and role in set(Access):
        return Access(role)
    return Access.WRITE if program == _JOIN else None


def _program(pid: int) -> tuple[str, str, str]:
    """Which of the two the process runs, and the two arguments after it; empty for neither."""
    argv = _argv(pid)
    for place, word in enumerate(argv):
        for program in (_JOIN, _GLASS):
            if word.endswith(program):
                mark, role, *_ = *argv[place + 1 : place + 3], "", ""
                return program, mark, role
    return "", "", ""


def _argv(pid: int) -> list[str]:
    import psutil

    try:
        return psutil.Process(pid).cmdline()
    except psutil.AccessDenied:  # macOS shows nobody what another user's process runs
        return _argv_by_ps(pid)
    except psutil.Error:
        return []


def _argv_by_ps(pid: int) -> list[str]:
    """By ps(1), which may see it: on macOS it is root's (not run). It joins the words by spaces; an
    account's forced command has none in its first.
    """
    try:
        listed = subprocess.run(
            ("/bin/ps", "-ww", "-o", "args=", "-p", str(pid)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PS_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.decode(errors="replace").split()
