"""The clipboard of the person at this terminal, which may be on another machine."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from pairctl.text import output

if TYPE_CHECKING:
    from collections.abc import Callable

_COMMANDS = (("pbcopy",), ("wl-copy",), ("xclip", "-selection", "clipboard"))
# -w, tmux 3.2 and later: also to the clipboard of the terminal that tmux runs in.
_TMUX = ("tmux", "load-buffer", "-w", "-")

_COPIED = "copied to the clipboard"
_SENT = "your terminal may have copied it"  # no terminal reports whether it did


def copy(text: str, *, timeout_s: float = 2.0) -> str:
    """A phrase that reports the outcome; "" if there is no clipboard.

    Without a display some of the programs hang; each gets `timeout_s`.
    """
    return next((outcome for attempt, outcome in _attempts(text, timeout_s) if attempt()), "")


def _attempts(text: str, timeout_s: float) -> Iterator[tuple[Callable[[], bool], str]]:
    """Over ssh the terminal comes first: a program would fill the clipboard of this machine."""
    programs = [(partial(_by_command, command, text, timeout_s), _COPIED) for command in _COMMANDS]
    terminal = []
    if output.has_sequences():
        if os.environ.get("TMUX"):
            terminal.append((partial(_by_command, _TMUX, text, timeout_s), _SENT))
        if sys.stdout.isatty() or sys.stderr.isatty():
            terminal.append((partial(_by_terminal, text), _SENT))
    remote = os.environ.get("SSH_TTY") or os.environ.get("SSH_CONNECTION")
    yield from [*terminal, *programs] if remote else [*programs, *terminal]


def _by_command(command: tuple[str, ...], text: str, timeout_s: float) -> bool:
    try:
        # xclip keeps running to serve the selection: it must hold no pipe of ours.
        copied = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return copied.returncode == 0


def _by_terminal(text: str) -> bool:
    """OSC 52, as xterm documents it."""
    encoded = base64.b64encode(text.encode())
    try:
        with open("/dev/tty", "wb", buffering=0) as terminal:  # noqa: PTH123 - a device
            terminal.write(b"\x1b]52;c;" + encoded + b"\x07")
    except OSError:
        return False
    return True
