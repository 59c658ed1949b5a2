"""Programs that end when this process does, however it does: prctl(2), PR_SET_PDEATHSIG.

Linux only; and not for a program that becomes another user, which the kernel leaves alone.
"""

from __future__ import annotations

import shutil
import sys

from pairingd.process.programs import run

_TRIAL_S = 10.0
_works: dict[str, bool] = {}  # by the path of setpriv(1): BusyBox's cannot do it


async def mortal(*command: str, signal: str = "TERM") -> tuple[str, ...]:
    """`command`, so that it gets that signal when this process ends; as it is where that cannot be.

    Call it in the thread that starts the command, and that lives as long as this process.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if not setpriv:
        return command
    if setpriv not in _works:
        _works[setpriv] = await _does_work(setpriv)
    return (setpriv, "--pdeathsig", signal, *command) if _works[setpriv] else command


async def _does_work(setpriv: str) -> bool:
    try:
        tried = await run(setpriv, "--pdeathsig", "TERM", "/bin/sh", "-c", ":", seconds=_TRIAL_S)
    except (OSError, TimeoutError):
        return False
    return tried.status == 0
