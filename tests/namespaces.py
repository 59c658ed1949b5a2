"""Sockets in another network namespace, without a program that runs there: setns(2)."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import BinaryIO, Final

_CLONE_NEWNET: Final = 0x40000000


@contextlib.contextmanager
def in_network(path: str) -> Iterator[None]:
    """The sockets that this thread makes meanwhile are of the network namespace at `path`."""
    with open("/proc/thread-self/ns/net", "rb") as ours, open(path, "rb") as theirs:  # noqa: PTH123
        _enter(theirs)
        try:
            yield
        finally:
            _enter(ours)


def _enter(namespace: BinaryIO) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace.fileno(), _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
