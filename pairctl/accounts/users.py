"""What root does as another user, in a separate process."""

from __future__ import annotations

import os
import pwd
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psutil

_POLL_INTERVAL_S = 0.1


def done_as(name: str, act: Callable[[], object]) -> bool:
    """Whether `act`, called as that user, has returned. False if there is no such user."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return False
    return _status(user, act) == 0


def kill(name: str, seconds: float) -> bool:
    """Kill every process of that user. True once none runs, and if there is no such user.

    kill(2) with -1 signals all processes in one step: none can fork in between.
    """
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return True
    deadline = time.monotonic() + seconds
    while _run(user.pw_uid):
        if time.monotonic() > deadline:
            return False
        _status(user, _kill_all)
        time.sleep(_POLL_INTERVAL_S)
    return True


def processes(uid: int) -> Iterator[psutil.Process]:
    """All processes of that user, also those that have changed one of their user ids."""
    import psutil

    for process in psutil.process_iter(["uids", "status", "name", "cmdline"]):
        uids = process.info["uids"]
        if uids is not None and uid in uids and process.info["status"] != psutil.STATUS_ZOMBIE:
            yield process


def _run(uid: int) -> bool:
    return any(True for _ in processes(uid))


def _kill_all() -> None:
    if os.getuid() == 0:
        raise PermissionError
    os.kill(-1, signal.SIGKILL)  # not this process: kill(2), NOTES


def _status(user: pwd.struct_passwd, act: Callable[[], object]) -> int:
    """The exit status: 0 if `act` has returned, 1 if it raised an error."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.initgroups(user.pw_name, user.pw_gid)
                os.setgid(user.pw_gid)
            if os.getuid() != user.pw_uid:
                os.setuid(user.pw_uid)
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
