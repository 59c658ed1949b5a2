"""The clipboard of whoever sits at this terminal."""

from __future__ import annotations

import base64
import subprocess
import sys

_COMMANDS = (("pbcopy",), ("wl-copy",), ("xclip", "-selection", "clipboard"))


def copy(text: str, *, timeout_s: float = 2.0) -> str:
    """In words what became of it: "" where there is no clipboard to be had.

    Without a display some of the programs hang; each has `timeout_s`.
    """
    if any(_by_command(command, text, timeout_s) for command in _COMMANDS):
        return "copied to the clipboard"
    if (sys.stdout.isatty() or sys.stderr.isatty()) and _by_terminal(text):
        return "sent to the terminal's clipboard"
    return ""


def _by_command(command: tuple[str, ...], text: str, timeout_s: float) -> bool:
    try:
        # xclip stays behind to serve the selection: it must hold no pipe of ours.
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
    """OSC 52, as xterm documents it. No terminal tells whether it obeyed."""
    encoded = base64.b64encode(text.encode())
    try:
        with open("/dev/tty", "wb", buffering=0) as terminal:  # noqa: PTH123 - a device
            terminal.write(b"\x1b]52;c;" + encoded + b"\x07")
    except OSError:
        return False
    return True
