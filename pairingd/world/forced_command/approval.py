"""The screen at which a guest waits until the host has let them in.

    python -I -S approval.py CONTROL_SOCKET

`join.sh` runs this before anything of tmux, if the invitation says so. Exit status 0 means that
pairingd reports the host's approval; everything else is a no: another answer, no daemon, no answer
in time, Ctrl-C. The guest's terminal is standard input; what they type meanwhile is dropped.
Standard library only, and few modules of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

LIMIT_S = 70.0  # longer than the host may take, in case the daemon does not answer
WAITING = "pairing: waiting for the host to let you in, for at most 60 s; Ctrl-C leaves."
APPROVED = "pairing: the host has let you in."
STOPPED = "pairing is not running any more on the host's side; ask the host"
_MAX_REPLY_BYTES = 1 << 16
_MAX_TYPED_BYTES = 1 << 16  # at a time
_CTRL_C = b"\x03"


def main(path: str) -> int:
    with _deaf_terminal():
        _say(WAITING)
        try:
            answer = _answer(path)
        except (OSError, ValueError):  # JSON's and UTF-8's errors are ValueErrors
            answer = {}
        if answer.get("approved") is True:
            _say(APPROVED)
            return 0
        _say(f"pairing: {_printable(answer.get('text')) or STOPPED}")
        return 1


def _answer(path: str) -> dict[str, Any]:
    """What pairingd replies to `ask`: docs/protocol.md. Raises OSError, ValueError."""
    calls: dict[str, dict[str, int]] = {"hello": {}, "ask": {"process": os.getpid()}}
    until = time.monotonic() + LIMIT_S
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(LIMIT_S)
        daemon.connect(path)
        for number, (method, params) in enumerate(calls.items()):
            call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            daemon.sendall(json.dumps(call).encode() + b"\n")
        received = b""
        while received.count(b"\n") < len(calls) and len(received) < _MAX_REPLY_BYTES:
            _drop_what_is_typed(daemon, until)
            chunk = daemon.recv(_MAX_REPLY_BYTES)
            if not chunk:
                raise ValueError("the end")
            received += chunk
    reply = json.loads(received.split(b"\n")[1])
    if "error" in reply:
        return {"text": reply["error"]["message"]}
    result: dict[str, Any] = reply["result"]
    return result


def _drop_what_is_typed(daemon: socket.socket, until: float) -> None:
    """Read the guest's terminal until the daemon replies: what the terminal cannot hold would wait
    in sshd, and come in once they are let in. Ends the program at Ctrl-C. Raises OSError at the
    time `until`.
    """
    ready = select.poll()
    for descriptor in (daemon.fileno(), 0):
        ready.register(descriptor, select.POLLIN)
    while events := dict(ready.poll(max(until - time.monotonic(), 0) * 1000)):
        if 0 in events:
            typed = os.read(0, _MAX_TYPED_BYTES)
            if not typed:
                raise OSError
            if _CTRL_C in typed:
                _say("pairing: you have left.")
                sys.exit(1)
        if daemon.fileno() in events:
            return
    raise TimeoutError


@contextlib.contextmanager
def _deaf_terminal() -> Iterator[None]:
    """No echo, no key that ends programs or stops output, and nothing that was typed is left for
    the next program.
    """
    before = termios.tcgetattr(0)
    mode = termios.tcgetattr(0)
    mode[0] &= ~termios.IXON
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    termios.tcsetattr(0, termios.TCSAFLUSH, mode)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)


def _printable(text: object) -> str:
    return "".join(c for c in str(text or "") if c.isprintable())


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
