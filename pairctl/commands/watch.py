"""`pairctl status --watch`: told of each change by the daemon, never polling it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from typing import TYPE_CHECKING, Any

from pairctl import output, render, screen
from pairctl.output import View, value_for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.client import Client


_SETTLED = 1.0  # seconds; what follows on an event, as a terminal on a login, has none of its own


def watch(client: Client, given: dict[str, Any], *, as_json: bool) -> None:
    """Until q or Ctrl-C; with nothing to draw on, or as JSON, a block or document per change.
    `given` are the params of `status`.
    """
    client.call("watch", {"limit": 1})
    with contextlib.suppress(KeyboardInterrupt):
        if as_json or not output.draws(sys.stdout):
            _append(client, given, as_json=as_json)
        else:
            _redraw(client, given)


def _append(client: Client, given: dict[str, Any], *, as_json: bool) -> None:
    told = None
    timeout_s = None
    while True:
        now = client.call("status", given)
        if now != told:
            if told and not as_json:
                output.write("")
            output.line(now, render.status, as_json=as_json)
            told = now
        timeout_s = _SETTLED if client.next_event(timeout_s) else None
        _drain(client)


def _redraw(client: Client, given: dict[str, Any]) -> None:
    now = client.call("status", given)
    waits: list[Any] = [client, *([sys.stdin] if sys.stdin.isatty() else [])]
    with _keys(), screen.alternate():
        unsettled = False
        while True:
            screen.draw(render.status(value_for_terminal(now), View.of(sys.stdout)))
            ready, _, _ = select.select(waits, [], [], 1.0)  # s: the remaining times go on
            if sys.stdin in ready and os.read(sys.stdin.fileno(), 64).lower() in (b"q", b""):
                return
            news = _drain(client)
            if news or unsettled:
                now = client.call("status", given)
            unsettled = news


def _drain(client: Client) -> bool:
    """Take all events that are there; whether there were any."""
    some = False
    while client.next_event(0):
        some = True
    return some


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Keys one by one and unseen; Ctrl-C stays a signal: termios(3), cbreak mode."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
