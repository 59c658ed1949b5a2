"""`pairingd --detach`: into the background, with word of it to whoever waits in the foreground.

The process that goes to the background is a fresh interpreter: macOS's frameworks do not bear a
fork without exec (CPython's documentation of os.fork and of urllib.request.getproxies), and httpx
asks one of them for proxies.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_READY_FD = "PAIRINGD_READY_FD"


def detach() -> int:
    """Run this program again, in the background. The exit code it reports by `Launch.tell`, with
    which whoever called it ends; 1 when it dies before.
    """
    ready, tell = os.pipe()
    if not os.fork():
        os.close(ready)
        _exec_daemon(tell)
    os.close(tell)
    code = os.read(ready, 1)
    return code[0] if code else 1


def _exec_daemon(tell: int) -> NoReturn:
    import daemon

    daemon.DaemonContext(
        working_directory=".",  # where the words of the command line are meant; see `Launch`
        umask=0o077,
        files_preserve=[tell],
        signal_map={},
        detach_process=True,
        stderr=sys.stderr,
    ).open()
    for descriptor in (0, 1, 2, tell):  # python-daemon may have opened the null device as 0 and 1
        os.set_inheritable(descriptor, True)
    os.environ[_READY_FD] = str(tell)
    words = [sys.executable, *sys.orig_argv[1:]]  # the very same program, with the same options
    os.execv(sys.executable, words)  # noqa: S606 - no shell is wanted


class Launch:
    """The way back to the process that called `detach`, whose standard error we still have."""

    def __init__(self) -> None:
        self._output: int | None = None
        self._ready: int | None = None
        if number := os.environ.pop(_READY_FD, ""):  # not for our children
            self._ready = int(number)
            os.set_inheritable(self._ready, False)
            os.chdir("/")  # to keep no file system from being unmounted

    @property
    def detached(self) -> bool:
        return self._ready is not None

    def print_to(self, path: str) -> None:
        """Where both standard streams lead after `tell`. Raises OSError."""
        if self.detached:
            self._output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, code: int) -> None:
        """Once: 0 for a daemon that serves, or the exit code of one that cannot."""
        if self._ready is None:
            return
        if self._output is not None:
            os.dup2(self._output, 1)
            os.dup2(self._output, 2)
            os.close(self._output)
        os.write(self._ready, bytes([code]))
        os.close(self._ready)
        self._ready = self._output = None
