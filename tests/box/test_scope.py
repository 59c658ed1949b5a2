"""Landlock's scope and the filter, tried on a process of ours."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from pairingd.box import filter as forbidden
from pairingd.box import scope

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux's kernel")


def reached_after(address: str, *, restricted: bool) -> bool:
    """Whether a process connects to that abstract socket."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if restricted:
                scope.restrict()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(address)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_abstract_socket_is_out_of_reach_in_the_scope() -> None:
    if not scope.is_available():
        pytest.skip("this kernel is older than 6.12")
    address = f"\0pairing-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        assert reached_after(address, restricted=False)
        assert not reached_after(address, restricted=True)


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
