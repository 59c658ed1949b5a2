"""How the event loop notices that a child has ended."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings


def watch_without_threads() -> None:
    """Before Python 3.12 asyncio starts a thread for each child: for each guest, each call of tmux.
    This uses pidfds (Linux 5.3) instead, as later versions do by themselves.
    """
    if sys.platform == "linux" and sys.version_info < (3, 12):
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:
            return
        # The guardian outlives the loop on purpose.
        warnings.filterwarnings("ignore", "A loop is being detached", RuntimeWarning)
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
