"""What was written, kept over a power cut.

Standard library only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys


def sync(descriptor: int) -> None:
    """Have the disk keep what was written to a file, or changed in a directory.

    fsync(2) of macOS leaves it in the drive's cache, and names F_FULLFSYNC (not run).
    """
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):  # a file system that does not know it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)
