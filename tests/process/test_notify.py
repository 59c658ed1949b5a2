from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from pairingd.process.notify import notify


def received(address: str | bytes, monkeypatch: pytest.MonkeyPatch, named: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", named)
        notify("READY=1", "STATUS=two\nlines")
        return manager.recv(1024, socket.MSG_DONTWAIT)


def test_states_are_lines_of_one_datagram(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(short_path / "notify")
    assert received(path, monkeypatch, path) == b"READY=1\nSTATUS=two lines"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_the_socket_may_be_an_abstract_one(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"pairing-test-{os.getpid()}"
    assert received(b"\0" + name.encode(), monkeypatch, f"@{name}").startswith(b"READY=1")


@pytest.mark.parametrize("named", ["", "relative", "/nowhere/notify", "@nobody-listens"])
def test_without_a_manager_nothing_happens(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", named)
    notify("READY=1")
