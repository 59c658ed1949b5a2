"""A wire between two network namespaces on which every packet takes a while (Linux, root).

python -m tests.e2e.delay PID:DEVICE PID:DEVICE MILLISECONDS makes both devices and prints `ready`. It
needs no netem of the kernel's. A TUN device takes and gives whole packets, checksums included.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000  # IFF_TUN, IFF_NO_PI
_LARGEST = 65536


def main(one: str, other: str, milliseconds: str) -> None:
    ends = [_device(*end.split(":")) for end in (one, other)]
    across = dict(zip(ends, reversed(ends), strict=True))
    print("ready", flush=True)
    under_way: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(under_way[0][0] - time.monotonic(), 0.0) if under_way else None
        for end in select.select(ends, [], [], wait)[0]:
            packet = os.read(end, _LARGEST)
            due = time.monotonic() + int(milliseconds) / 1000
            under_way.append((due, across[end], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            os.write(end, packet)


def _device(pid: str, name: str) -> int:
    with Path(f"/proc/{pid}/ns/net").open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns of {pid}")
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    return device


if __name__ == "__main__":
    main(*sys.argv[1:])
