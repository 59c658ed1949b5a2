"""`pairingd --detach`: into the background, with word of it to whoever waits in the foreground."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any


class Launch:
    """The way back to the process that was called. Nobody is there without `detach`."""

    def __init__(self) -> None:
        self._caller: int | None = None
        self._output: int | None = None

    def detach(self, output: str, keep: Sequence[Any]) -> None:
        """Returns in the daemon, which still has the caller's standard error.

        The process that was called stays until `tell`, and ends with that exit code; with 1 when
        the daemon dies before. `output` is the file of both standard streams afterwards.
        """
        import daemon

        caller, self._caller = os.pipe()
        if os.fork():
            os.close(self._caller)
            code = os.read(caller, 1)
            os._exit(code[0] if code else 1)
        os.close(caller)
        self._output = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        daemon.DaemonContext(
            working_directory="/",
            umask=0o077,
            files_preserve=[*keep, self._caller, self._output],
            signal_map={},
            detach_process=True,
            stderr=sys.stderr,
        ).open()

    def tell(self, code: int) -> None:
        """Once: 0 for a daemon that serves, or the exit code of one that cannot."""
        if self._caller is None or self._output is None:
            return
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)
        os.close(self._output)
        os.write(self._caller, bytes([code]))
        os.close(self._caller)
        self._caller = self._output = None
