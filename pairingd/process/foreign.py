"""A program that may become another user's, as sudo's does: then it is not ours to end.

Popen and subprocess.run wait without limit for what they have started, once its time is over and
they could not kill it. Whoever is that other user could keep us so, with a SIGSTOP. And one in a
box, or an account's, may say anything, for ever.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CHUNK = 1 << 16
_MOST = 1 << 20  # bytes


def run(argv: Sequence[str], seconds: float, environ: Mapping[str, str] | None = None) -> str:
    """What it prints, with no input, however it ends. Raises OSError where it cannot be started,
    and TimeoutError where it prints more than 1 MiB, or has not ended in time; then it has ended,
    or it is not ours to end.
    """
    deadline = time.monotonic() + seconds
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
    )
    assert process.stdout  # noqa: S101 - it is a pipe
    try:
        text = _read(process.stdout.fileno(), deadline)
        process.wait(max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        kill(process)
    return text.decode(errors="replace")


def kill(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """And wait for its end, if it may be killed. Its pipes are closed."""
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
    with contextlib.suppress(PermissionError):
        process.kill()
        process.wait()


def _read(descriptor: int, deadline: float) -> bytes:
    """To its end. Raises TimeoutError."""
    text = b""
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    while len(text) < _MOST:
        left = deadline - time.monotonic()
        if left <= 0 or not ready.poll(1000 * left):
            raise TimeoutError
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return text
        text += chunk
    raise TimeoutError
