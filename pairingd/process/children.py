"""How the loop hears of the end of its children."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings


def watch_without_threads() -> None:
    """Before Python 3.12 asyncio starts a thread for each child: for each guest, each call of tmux.
    Since then it does the same by itself where the kernel has pidfds (Linux 5.3).
    """
    if sys.platform == "linux" and sys.version_info < (3, 12):
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:
            return
        # The guardian outlives the loop by a moment, which is what it is for.
        warnings.filterwarnings("ignore", "A loop is being detached", RuntimeWarning)
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
