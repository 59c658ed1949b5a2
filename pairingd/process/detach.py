"""`pairingd --detach`: goes to the background and reports to the process in the foreground.

The background process is a fresh interpreter: macOS's frameworks do not support a fork without exec
(CPython's documentation of os.fork and of urllib.request.getproxies), and httpx asks one of them
for proxies.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

_READY_FD = "PAIRINGD_READY_FD"


def detach() -> int:
    """Run this program again, in the background. Return the exit code that it passes to
    `Launch.report`, for the caller to exit with; 1 if it dies before.
    """
    ready_fd, report_fd = os.pipe()
    if not os.fork():
        os.close(ready_fd)
        _exec_daemon(report_fd)
    os.close(report_fd)
    code = os.read(ready_fd, 1)
    return code[0] if code else 1


def _exec_daemon(report_fd: int) -> NoReturn:
    import daemon

    daemon.DaemonContext(
        # For relative paths on the command line; see `Launch`. After su(1) we may not enter it.
        working_directory="." if os.access(".", os.X_OK) else "/",
        umask=0o077,
        files_preserve=[report_fd],
        signal_map={},
        detach_process=True,
        stderr=sys.stderr,
    ).open()
    # python-daemon may have opened the null device as 0 and 1.
    for descriptor in (0, 1, 2, report_fd):
        os.set_inheritable(descriptor, True)
    os.environ[_READY_FD] = str(report_fd)
    argv = [sys.executable, *sys.orig_argv[1:]]  # the very same program, with the same options
    os.execv(sys.executable, argv)  # noqa: S606 - no shell is wanted


class Launch:
    """The connection to the process that called `detach`; we still have its standard error."""

    def __init__(self) -> None:
        self._output: int | None = None
        self._ready: int | None = None
        if number := os.environ.pop(_READY_FD, ""):  # not for our children
            self._ready = int(number)
            os.set_inheritable(self._ready, False)
            os.chdir("/")  # not to block the unmount of a file system

    @property
    def detached(self) -> bool:
        return self._ready is not None

    def print_to(self, path: str) -> None:
        """Redirect both standard streams to `path` after `report`. Raises OSError."""
        if self.detached:
            self._output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def report(self, code: int) -> None:
        """Report once: 0 for a daemon that serves, or the exit code of one that cannot. It serves
        also if the process that waited was stopped meanwhile, as by Ctrl-C.
        """
        if self._ready is None:
            return
        if self._output is not None:
            os.dup2(self._output, 1)
            os.dup2(self._output, 2)
            os.close(self._output)
        with contextlib.suppress(BrokenPipeError):  # it was interrupted, or has waited long enough
            os.write(self._ready, bytes([code]))
        os.close(self._ready)
        self._ready = self._output = None
