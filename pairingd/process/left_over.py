"""Processes that outlive the daemon that started them, and how they are recognised.

The system reuses pids, so a process is identified by its pid and start time. The start time counts
from boot: the wall clock's would change when the clock is set.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

_TERM_TIMEOUT_S = 1.0  # from SIGTERM to SIGKILL
_TOLERANCE_S = 0.001  # a float that went through JSON; one clock tick is 0.01 s
_WALL_TOLERANCE_S = 1.0  # psutil derives the wall-clock time from a boot time of whole seconds


def boot() -> str:
    """The id of this boot; empty where start times do not count from it (not Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def start_time(pid: int) -> float | None:
    """When the process `pid` started, in seconds since `boot()`. None: no such process.

    Without `boot()`: the wall clock's time at its start, as the kernel recorded it.
    """
    return _since_boot(pid) if boot() else _recorded(pid)


def end_left_over(pid: int, started: float, booted: str | None = None) -> bool:
    """End what a crash has left, if `pid` is still that process. True: it was.

    `booted` is what `boot()` was; None: this boot. Its children end with it: without root a guest's
    own sshd outlives the one that we started.
    """
    import psutil

    if not is_still(pid, started, boot() if booted is None else booted):
        return False
    with contextlib.suppress(psutil.Error):
        eldest = psutil.Process(pid)
        family = [eldest, *eldest.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(family, timeout=_TERM_TIMEOUT_S)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()
    return True


def is_still(pid: int, started: float, booted: str) -> bool:
    """Whether `pid` is the process that started at `started` of the boot `booted`."""
    if booted not in {"", boot()}:
        return False
    now = _since_boot(pid) if booted else _recorded(pid)
    return now is not None and abs(now - started) <= (_TOLERANCE_S if booted else _WALL_TOLERANCE_S)


def _since_boot(pid: int) -> float | None:
    """proc_pid_stat(5), field 22; the second, the program's name, may hold anything. None for a
    zombie: a container's first process may leave it for ever.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _recorded(pid: int) -> float | None:
    """The wall-clock start time: for macOS (not run), and journal entries of schema 1."""
    import psutil

    try:
        process: Any = psutil.Process(pid)  # the stubs have no _proc for macOS
        if sys.platform == "darwin":
            # p_starttime as it is; since psutil 7.1 create_time() moves it when the clock is set.
            with contextlib.suppress(TypeError):
                return float(process._proc.create_time(monotonic=True))  # noqa: SLF001
        return float(process.create_time())
    except psutil.Error:
        return None
