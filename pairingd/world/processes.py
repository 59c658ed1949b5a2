"""Processes that outlive the daemon that started them, and how they are known again."""

from __future__ import annotations

import contextlib

_PATIENCE = 1.0  # seconds from SIGTERM to SIGKILL


def start_time(pid: int) -> float | None:
    """When the process `pid` began, None if there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def end_left_over(pid: int, started: float) -> bool:
    """End what a crash has left behind, if `pid` is still that process. True: it was.

    Its children with it: without root a guest's own sshd outlives the one that we started.
    """
    import psutil

    if start_time(pid) is None or abs((start_time(pid) or 0.0) - started) > 1.0:
        return False
    with contextlib.suppress(psutil.Error):
        eldest = psutil.Process(pid)
        family = [eldest, *eldest.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(family, timeout=_PATIENCE)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()
    return True
