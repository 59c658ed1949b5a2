"""A pane of glass, at a terminal that is slow to take what is painted."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys

import psutil
import pytest

from pairingd.world.forced_command import glass
from tests.stage import until
from tests.waiting import has_ended

MODES = r"\033[?1003h\033[?2004h"
PAINTS = b"+" * 100


@pytest.mark.attack(
    "a write guest in a box floods another terminal, so that it has no room when its client ends",
    "it is as it was before",
)
@pytest.mark.parametrize("ends", ["the glass", "the client"])
def test_a_full_terminal_is_left_as_it_was(ends: str) -> None:
    """It takes all that was painted, too: a sequence that is cut would swallow what comes next."""
    terminal, slave = os.openpty()
    script = f"printf '{MODES}'; while echo {PAINTS.decode()}; do :; done"
    argv = (sys.executable, "-I", "-S", str(glass.__file__), "host", "/bin/sh", "-c", script)
    pane = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    try:
        until(lambda: not select.select([], [slave], [], 0)[1], "it is full")
        [client] = psutil.Process(pane.pid).children()
        os.kill(pane.pid if ends == "the glass" else client.pid, signal.SIGTERM)
        until(lambda: has_ended(client), "the client's end")
        os.close(slave)
        painted = all_of(terminal)
    finally:
        pane.kill()
        pane.wait()
        os.close(terminal)
    *lines, last = painted.split(b"\r\n")
    assert set(lines[1:]) == {PAINTS}
    assert last.lstrip(b"+") == b"\x1b[?1003l\x1b[?2004l"


@pytest.mark.attack(
    "a write guest in a box paints letters whose bytes are control functions where it is not UTF-8",
    "only ASCII reaches a host's terminal with such a locale",
)
@pytest.mark.parametrize(
    ("locale", "painted"),
    [
        ({"LANG": "de_DE.ISO-8859-1"}, b"?6n"),
        ({"LANG": "de_DE"}, b"?6n"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.ISO-8859-1"}, b"?6n"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": ""}, "\u00db6n".encode()),
        ({"LANG": "de_DE", "LC_ALL": "en_US.utf8"}, "\u00db6n".encode()),
        ({"LANG": "C"}, "\u00db6n".encode()),
        ({}, "\u00db6n".encode()),
    ],
)
def test_a_terminal_gets_what_its_locale_takes(locale: dict[str, str], painted: bytes) -> None:
    r"""In ISO 8859-1 the second byte of U+00DB is CSI, and with 6n after it a question."""
    terminal, slave = os.openpty()
    paints = ("/bin/sh", "-c", r"printf '\303\2336n\033[?2004h'")
    argv = (sys.executable, "-I", "-S", str(glass.__file__), "host", *paints)
    pane = subprocess.Popen(
        argv, stdin=slave, stdout=slave, stderr=slave, env=locale, start_new_session=True
    )
    os.close(slave)
    try:
        assert all_of(terminal) == painted + b"\x1b[?2004h\x1b[?2004l"
    finally:
        pane.wait()
        os.close(terminal)


def test_a_client_has_no_descriptor_of_the_hosts_shell_whatever_the_limit_is_now() -> None:
    terminal, slave = os.openpty()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    looks = r"[ -e /dev/fd/200 ] && printf open || printf closed; printf '\033[?2004h'"
    limit = f"resource.setrlimit({resource.RLIMIT_NOFILE}, (100, {hard}))"
    argv = (sys.executable, "-I", "-S", str(glass.__file__), "host", "/bin/sh", "-c", looks)
    starts = f"import os, resource; os.dup2(0, 200); {limit}; os.execv({argv[0]!r}, {argv!r})"
    pane = subprocess.Popen(
        (sys.executable, "-c", starts),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        assert all_of(terminal).startswith(b"closed")
    finally:
        pane.wait()
        os.close(terminal)


def all_of(terminal: int) -> bytes:
    """What it still gets."""
    taken = b""
    while True:
        try:
            taken += os.read(terminal, 1024)
        except OSError:  # Linux: EIO where others have an end of file
            return taken
        if taken.endswith(b"\x1b[?2004l"):
            return taken
