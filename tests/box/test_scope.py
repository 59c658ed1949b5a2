"""Landlock's scope and the filter, tried on a process of ours."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pairingd.box import filter as forbidden
from pairingd.box import scope

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux's kernel")

_CONNECT = """\
import socket, sys
from pairingd.box import scope
if sys.argv[2] == "restricted":
    scope.restrict()
try:
    socket.socket(socket.AF_UNIX).connect("\\0" + sys.argv[1])
except PermissionError:
    print("refused")
else:
    print("reached")
"""


def outcome(name: str, how: str) -> str:
    """Of a process that connects to the abstract socket `name`."""
    # Not a fork of this one, in which an earlier test may have left a thread.
    connect = [sys.executable, "-c", _CONNECT, name, how]
    return subprocess.run(connect, capture_output=True, text=True, check=True).stdout.strip()


def test_an_abstract_socket_is_out_of_reach_in_the_scope() -> None:
    if not scope.is_available():
        pytest.skip("this kernel is older than 6.12")
    name = f"pairing-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        assert outcome(name, "free") == "reached"
        assert outcome(name, "restricted") == "refused"


def test_the_filter_is_a_program_for_the_kernel(tmp_path: Path) -> None:
    with (tmp_path / "filter").open("wb") as file:
        forbidden.write(file)
    size = (tmp_path / "filter").stat().st_size
    assert size
    assert size % 8 == 0  # struct sock_filter: seccomp(2)


def test_without_libseccomp_there_is_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(OSError, match="libseccomp"):
        forbidden.write(io.BytesIO())
