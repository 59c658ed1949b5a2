"""The program in tmux's popup in which the host approves or denies a guest.

    python -P -m pairctl.popup CONNECTION

pairingd starts it, with the pid of the connection that waits.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING, Any

from pairctl.control.client import connect
from pairctl.question import answer, question
from pairctl.text import output, screen
from pairctl.text.output import View, value_for_terminal
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.control.client import Client

_POLL_INTERVAL_S = 0.5
_SILENCE_S = 10.0  # of pairingd, after which the host gets their terminal back


def main(connection: int) -> None:
    """Returns after the answer, given here or elsewhere, or when the time is up."""
    with connect() as client, _raw():
        visitor = _visitor(client, connection)
        key_at = time.monotonic()
        while visitor:
            size = os.get_terminal_size(sys.stdout.fileno())
            quiet_s = time.monotonic() - key_at
            view = View.of(sys.stdout)
            screen.draw(question(value_for_terminal(visitor), view, size, quiet_s))
            approved, key_at = _typed(key_at)
            if approved is not None:
                method = "approve" if approved else "deny"
                params = {"guest": visitor["guest"], "connection": visitor["pid"]}
                with contextlib.suppress(PairingError):  # decided elsewhere meanwhile
                    client.call(method, params, silence=_SILENCE_S)
            visitor = _visitor(client, connection)


def _visitor(client: Client, connection: int) -> Any:
    visitors = client.call("waiting", silence=_SILENCE_S)["visitors"]
    return next((visitor for visitor in visitors if visitor["pid"] == connection), None)


def _typed(key_at: float) -> tuple[bool | None, float]:
    """The answer, if one comes within _POLL_INTERVAL_S, and the time of the last key."""
    ready, _, _ = select.select([sys.stdin], [], [], _POLL_INTERVAL_S)
    if not ready:
        return None, key_at
    now = time.monotonic()
    typed = os.read(sys.stdin.fileno(), 1024)
    if not typed:
        raise SystemExit(1)
    return answer(typed, now - key_at), now


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Every key arrives as bytes, also Ctrl-C; earlier input is dropped."""
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin, termios.TCSAFLUSH)
    try:
        output.write("\x1b[?25l", end="")
        yield
    finally:
        output.write("\x1b[?25h", end="")
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


if __name__ == "__main__":
    with contextlib.suppress(PairingError):  # pairingd has stopped, or hangs
        main(int(sys.argv[1]))
