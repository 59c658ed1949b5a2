"""Where the control socket lies, and that it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pairingd.home.paths import find_paths
from pairingd.server.control_socket import ControlSocket


def test_a_socket_that_the_lock_does_not_name_is_bound_again(short_path: Path) -> None:
    short_path.chmod(0o700)
    paths = find_paths({"PAIRING_HOME": str(short_path)})
    lock = os.open(paths.lock, os.O_RDONLY | os.O_CREAT, 0o600)  # so it cannot be signed
    control = ControlSocket(paths, lock, paths.tmux_socket)
    with pytest.raises(OSError, match="Bad file descriptor"):
        control.bind()
    assert not control.is_bound()
    writable = os.open(paths.lock, os.O_RDWR)
    os.dup2(writable, lock)
    with control.bind():
        assert control.is_bound()
    os.close(writable)
    os.close(lock)
