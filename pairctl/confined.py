"""Starting a session that is not the host's own: in a box, or as an account (pairingd.box)."""

# ruff: noqa: PTH103, PTH123 - pathlib starts slowly

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from typing import TYPE_CHECKING

from pairingd.box.place import boxes
from pairingd.core.text import one_line
from pairingd.paths import require_bindable
from pairingd.process import listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pairingd.box.place import Box, Shares

_STARTS_WITHIN_S = 20.0  # pasta, on a busy machine
_LOOK_AGAIN_S = 0.01


class NotStartedError(Exception):
    """Why it could not be started."""


def make(
    made: Box,
    files: Iterable[tuple[str, int, bytes]],
    shares: Shares,
    before: Callable[[], None] | None = None,
) -> None:
    """The place `made` with its `files`: path, mode and content; those of earlier sessions go. Back
    once its tmux listens. It lives on without us, and holds the lock; `before` is called in its
    process. Raises NotStartedError, PairingError `path-too-long`; then nothing of it is left.
    """
    for old in boxes(made.root):
        old.remove()
    require_bindable(made.socket)
    try:
        os.makedirs(made.path if made.account else made.shared, mode=0o700)
        for path, mode, content in files:
            _write(path, mode, content)
        _start(made, shares, before)
    except BaseException:
        made.remove()
        raise


def _write(path: str, mode: int, content: bytes) -> None:
    """A new file."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _start(made: Box, shares: Shares, before: Callable[[], None] | None) -> None:
    lock = os.open(made.lock, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            ["/bin/sh", made.server],
            stdin=lock,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            preexec_fn=before,  # noqa: PLW1509 - one thread
            start_new_session=True,
        )
    finally:
        os.close(lock)
    made.keep(shares._replace(keeper=process.pid))
    try:
        why = _until_it_listens(made, process)
    except BaseException:
        made.end()
        raise
    if why:
        made.end()
        lines = process.communicate()[1].decode(errors="replace").strip().splitlines()
        raise NotStartedError(one_line(lines[-1], 120) if lines else why)


def _until_it_listens(made: Box, process: subprocess.Popen[bytes]) -> str:
    """Why it does not, where it does not."""
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not _listens(made):
        if process.poll() is not None:
            return f"status {process.returncode}"
        if time.monotonic() > deadline:
            return f"no tmux in it after {_STARTS_WITHIN_S:.0f} s"
        time.sleep(_LOOK_AGAIN_S)
    return ""


def _listens(made: Box) -> bool:
    """An account's socket is not ours to connect to: there it must do that the socket is there."""
    if made.account:
        return os.path.lexists(made.socket)
    return listeners.answers(made.socket)
