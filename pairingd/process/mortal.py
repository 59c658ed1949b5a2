"""Programs that end when this process does, however it does.

By prctl(2), PR_SET_PDEATHSIG: Linux only, and not for a program that becomes another user, which
the kernel leaves alone. Elsewhere, as on macOS, by a shell beside the program.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from pairingd.process.programs import run

_TRIAL_S = 10.0
_usable: dict[str, str | None] = {}  # setpriv(1), by PATH; None: there is none, or BusyBox's


class Mortal(NamedTuple):
    """The command to run, and the descriptors that it must inherit."""

    argv: tuple[str, ...]
    inherited: tuple[int, ...] = ()


async def mortal(*command: str, signal: str = "TERM") -> Mortal:
    """`command`, so that it gets that signal when this process ends; as it is without /dev/fd.

    Start it in a thread that lives as long as this process, as the leader of a process group, and
    send SIGKILL to that group once the program has ended: where the kernel does not send the
    signal, there is a shell in the group, which kills all of it.
    """
    if setpriv := await _setpriv():
        return Mortal((setpriv, "--pdeathsig", signal, *command))
    ended = _lifeline()
    end = f"/dev/fd/{ended}"
    if not Path(end).exists():
        return Mortal(command)
    wait = f"(read -r end <{end}; kill -KILL 0) </dev/null >/dev/null 2>&1 &"
    return Mortal(("/bin/sh", "-c", f'{wait} exec "$@"', "sh", *command), (ended,))


@functools.cache
def _lifeline() -> int:
    """Only this process has the pipe's other end (PEP 446), so it is closed when we end."""
    ended, _ours = os.pipe()
    return ended


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
