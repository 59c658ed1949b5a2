"""Runs a program that may become another user's, as sudo's does: then we may not end it.

Popen and subprocess.run wait without limit, after a timeout, for a program that they cannot kill.
That other user could block us so, with a SIGSTOP. And a program in a box, or an account's, may
print anything, without end.
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

_CHUNK_BYTES = 1 << 16
_MAX_OUTPUT_BYTES = 1 << 20


def run(argv: Sequence[str], seconds: float, environ: Mapping[str, str] | None = None) -> str:
    """Return what it prints, with no input, however it ends. Raises OSError if it cannot be
    started, and TimeoutError if it prints more than 1 MiB or does not end in time; then it has been
    killed, unless we may not end it.
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
    """Close its pipes, kill it and wait for its end, if we may kill it."""
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
    with contextlib.suppress(PermissionError):
        process.kill()
        process.wait()


def _read(descriptor: int, deadline: float) -> bytes:
    """Read to the end. Raises TimeoutError."""
    text = b""
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    while len(text) < _MAX_OUTPUT_BYTES:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0 or not ready.poll(1000 * remaining_s):
            raise TimeoutError
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            return text
        text += chunk
    raise TimeoutError
