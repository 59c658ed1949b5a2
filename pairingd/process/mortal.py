"""Programs that end when this process does, however it does: prctl(2), PR_SET_PDEATHSIG.

Linux only; and not for a program that becomes another user, which the kernel leaves alone.
"""

from __future__ import annotations

import os
import shutil
import sys

from pairingd.process.programs import run

_TRIAL_S = 10.0
_usable: dict[str, str | None] = {}  # setpriv(1), by PATH; None: there is none, or BusyBox's


async def mortal(*command: str, signal: str = "TERM") -> tuple[str, ...]:
    """`command`, so that it gets that signal when this process ends; as it is where that cannot be.

    Call it in the thread that starts the command, and that lives as long as this process.
    """
    path = os.environ.get("PATH", "")
    if path not in _usable:
        _usable[path] = await _find()
    setpriv = _usable[path]
    return (setpriv, "--pdeathsig", signal, *command) if setpriv else command


async def _find() -> str | None:
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if not setpriv:
        return None
    try:
        tried = await run(setpriv, "--pdeathsig", "TERM", "/bin/sh", "-c", ":", seconds=_TRIAL_S)
    except (OSError, TimeoutError):
        return None
    return None if tried.status else setpriv
