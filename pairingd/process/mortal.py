"""Programs that end when this process does, however it does.

By prctl(2), PR_SET_PDEATHSIG: Linux only, and not for a program that becomes another user, which
the kernel leaves alone. Elsewhere, as on macOS, by a shell beside the program: `watch`.
"""

from __future__ import annotations

import functools
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
    setpriv = await _setpriv()
    return (setpriv, "--pdeathsig", signal, *command) if setpriv else command


async def watch() -> tuple[str, tuple[int, ...]]:
    """Where the kernel sends no such signal: commands for a shell that leads a process group and
    then becomes the program, and the descriptors that it must inherit. They leave a process that
    kills the group, with itself, when this process ends. Else nothing.
    """
    return ("", ()) if await _setpriv() else _lifeline()


@functools.cache
def _lifeline() -> tuple[str, tuple[int, ...]]:
    """Only this process has the pipe's other end (PEP 446), so its end is ours."""
    ended, _ours = os.pipe()
    wait = f"read -r end </dev/fd/{ended}"
    return f"({wait}; kill -KILL 0) </dev/null >/dev/null 2>&1 &", (ended,)


async def _setpriv() -> str | None:
    path = os.environ.get("PATH", "")
    if path not in _usable:
        _usable[path] = await _find()
    return _usable[path]


async def _find() -> str | None:
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if not setpriv:
        return None
    try:
        tried = await run(setpriv, "--pdeathsig", "TERM", "/bin/sh", "-c", ":", seconds=_TRIAL_S)
    except (OSError, TimeoutError):
        return None
    return None if tried.status else setpriv
