"""The control socket: bound at the start, and again where somebody has removed it since."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from pairingd.errors import Misconfigured
from pairingd.files import private_directory
from pairingd.paths import Paths
from pairingd.process import listeners
from pairingd.process.lock import sign

log = logging.getLogger(__name__)


class ControlSocket:
    """Whoever holds the lock, `lock`, has the right to it, and signs the lock with where it is."""

    def __init__(self, paths: Paths, lock: int, tmux_socket: str) -> None:
        self._paths = paths
        self._lock = lock
        self._beside = os.path.dirname(paths.lock)  # noqa: PTH120 - paths are strings
        self._tmux_socket = tmux_socket
        self._path = Path()
        self._bound: os.stat_result | None = None

    def bind(self) -> socket.socket:
        """Mode 0600, in place of one that was left behind. In the runtime directory where that can
        be used; it goes at the last logout. Raises Misconfigured, OSError.
        """
        *first, last = self._paths.control_sockets
        for path in first:
            try:
                return self._listen(Path(path))
            except OSError as failure:
                log.info("%s cannot be used: %s", path, failure)
            except Misconfigured as failure:
                if failure.code != "unusable-home":
                    raise
                log.info("%s cannot be used: %s", path, failure.message)
        return self._listen(Path(last))

    @property
    def path(self) -> Path:
        """Where it was bound last."""
        return self._path

    def is_bound(self) -> bool:
        """Whether what is at its path is ours."""
        try:
            return self._bound is not None and os.path.samestat(self._path.lstat(), self._bound)
        except OSError:
            return False

    def remove(self) -> None:
        """Not one that somebody else has put in its place."""
        if self.is_bound():
            self._path.unlink(missing_ok=True)

    def _listen(self, path: Path) -> socket.socket:
        private_directory(path.parent)
        listener = listeners.listen(str(path), 0o600, 64)
        self._path, self._bound = path, path.lstat()
        sign(self._lock, self._unless_beside(str(path)), self._unless_beside(self._tmux_socket))
        return listener

    def _unless_beside(self, path: str) -> str:
        return "" if os.path.dirname(path) == self._beside else path  # noqa: PTH120 - as above


def tmux_socket(paths: Paths, signed: str) -> str:
    """Where tmux's socket lies: `signed` by the last daemon or where an earlier version had it, as
    long as a server is there that holds the host's work.
    """
    for path in dict.fromkeys((signed, paths.earlier_tmux_socket)):
        elsewhere = path and path != paths.tmux_socket
        if elsewhere and (listeners.answers(path) or listeners.tmux_server(path)):
            return path
    return paths.tmux_socket
