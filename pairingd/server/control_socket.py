"""The control socket: bound at the start, and again if somebody has removed it."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from pairingd.errors import Misconfigured
from pairingd.home.files import private_directory
from pairingd.home.paths import Paths
from pairingd.process import listeners
from pairingd.process.lock import is_at, sign

log = logging.getLogger(__name__)


class ControlSocket:
    """Only the holder of the lock binds it, and writes its path to `lock`, a descriptor."""

    def __init__(self, paths: Paths, lock: int, tmux_socket: str) -> None:
        self._paths = paths
        self._lock = lock
        self._lock_directory = os.path.dirname(paths.lock)  # noqa: PTH120 - paths are strings
        self._tmux_socket = tmux_socket
        self._path = Path()
        self._bound: os.stat_result | None = None

    def bind(self) -> socket.socket:
        """Listen with mode 0600, in place of a stale socket. In the runtime directory if that can
        be used; the system removes it at the last logout. Raises Misconfigured, OSError.
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
        """The path at which it was bound last."""
        return self._path

    def is_bound(self) -> bool:
        """Whether the file at its path is our socket."""
        try:
            return self._bound is not None and os.path.samestat(self._path.lstat(), self._bound)
        except OSError:
            return False

    def is_at_home(self) -> bool:
        """Whether our lock is still in its place, so that every command finds this daemon."""
        return is_at(self._paths.lock, self._lock)

    def remove(self) -> None:
        """Unlink the socket, unless somebody has replaced it."""
        if self.is_bound():
            self._path.unlink(missing_ok=True)

    def _listen(self, path: Path) -> socket.socket:
        private_directory(path.parent)
        listener = listeners.listen(str(path), 0o600, 64)
        try:
            sign(
                self._lock,
                self._unless_beside_lock(str(path)),
                self._unless_beside_lock(self._tmux_socket),
            )
            self._path, self._bound = path, path.lstat()
        except OSError:
            listener.close()
            raise
        return listener

    def _unless_beside_lock(self, path: str) -> str:
        return "" if os.path.dirname(path) == self._lock_directory else path  # noqa: PTH120 - as above


def tmux_socket(paths: Paths, signed: str) -> str:
    """Return the path of tmux's socket: `signed` by the last daemon or that of an earlier version,
    as long as a server with the host's work listens there.
    """
    for path in dict.fromkeys((signed, paths.earlier_tmux_socket)):
        elsewhere = path and path != paths.tmux_socket
        if elsewhere and (listeners.answers(path) or listeners.tmux_server(path)):
            return path
    return paths.tmux_socket
