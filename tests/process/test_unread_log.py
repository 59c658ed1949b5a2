"""The log on a standard error that nobody reads for a while, as after Ctrl-S."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

LINES = 20_000
SCRIPT = f"""
import logging, sys; from pairingd.process import logs; logs.set_up('text', None)
log = logging.getLogger('pairingd.x')
for number in range({LINES}): log.info('line %d', number)
print('goes on', flush=True)
for _ in sys.stdin: log.info('read again')
"""
Unread = Callable[[], tuple[int, int]]


def pipe() -> tuple[int, int]:
    ours, theirs = os.pipe()
    if sys.platform == "linux":
        fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 1 << 12)
    return ours, theirs


def stopped_terminal() -> tuple[int, int]:
    ours, theirs = os.openpty()
    termios.tcflow(theirs, termios.TCOOFF)
    return ours, theirs


@contextmanager
def logs_to(unread: Unread) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    ours, theirs = unread()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=-1, stdout=-1, stderr=theirs
    ) as process:
        try:
            yield process, ours, theirs
        finally:
            process.kill()
            os.close(ours)
            with suppress(OSError):
                os.close(theirs)


unread = pytest.mark.parametrize("unread", [pipe, stopped_terminal])


@unread
def test_a_log_that_nobody_reads_holds_up_neither_the_program_nor_its_end(unread: Unread) -> None:
    with logs_to(unread) as (process, _, _):
        assert process.communicate(timeout=60)[0] == b"goes on\n"
        assert process.returncode == 0


@unread
def test_what_was_left_out_is_counted_once_somebody_reads(unread: Unread) -> None:
    with logs_to(unread) as (process, ours, theirs):
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"goes on\n"
        if unread is stopped_terminal:
            termios.tcflow(theirs, termios.TCOON)
        os.close(theirs)
        printed = b""
        while b"line 999" not in printed:  # there is room again
            printed += os.read(ours, 1 << 16)
        process.stdin.write(b"\n")
        process.stdin.close()
        with suppress(OSError):  # EIO: the end of a terminal
            while chunk := os.read(ours, 1 << 16):
                printed += chunk
    shown = [int(number) for number in re.findall(rb"line (\d+)", printed)]
    left_out = re.findall(rb"WARNING \S+: (\d+) lines were left out", printed)
    assert shown == sorted(set(shown))
    assert left_out
    assert len(shown) + sum(map(int, left_out)) == LINES
    assert printed.splitlines()[-1].endswith(b"read again")
