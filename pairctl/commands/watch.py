"""`pairctl status --watch`: at each event of the daemon's, and for what has none every 5 s."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any

from pairctl.interrupts import as_keyboard_interrupt
from pairctl.text import output, render, screen

if TYPE_CHECKING:
    from pairctl.control.client import Client


_SETTLE_TIME_S = 1.0  # what follows an event, as a terminal follows a login, has no event itself
_REFRESH_INTERVAL_S = 5.0  # for the host's terminals, a renewed lease, evidence for an endpoint


def watch(client: Client, given: dict[str, Any], *, as_json: bool) -> None:
    """Redraw until q or Ctrl-C. Without a terminal, or as JSON, print one block per change.
    `given` are the params of `status`.
    """
    client.call("watch", {"limit": 1})
    with contextlib.suppress(KeyboardInterrupt):
        if as_json or not output.draws(sys.stdout):
            _append(client, given, as_json=as_json)
        else:
            _redraw(client, given)


def _append(client: Client, given: dict[str, Any], *, as_json: bool) -> None:
    printed = None
    timeout_s = _REFRESH_INTERVAL_S
    while True:
        current = client.call("status", given)
        if current != printed:
            if printed and not as_json:
                output.write("")
            output.line(current, render.status, as_json=as_json)
            printed = current
        news = _drain(client)
        if not news:
            output.wait_for(client, timeout_s)
            news = _drain(client)
        timeout_s = _SETTLE_TIME_S if news else _REFRESH_INTERVAL_S


def _redraw(client: Client, given: dict[str, Any]) -> None:
    current = client.call("status", given)
    waits: list[Any] = [client, *([sys.stdin] if sys.stdin.isatty() else [])]
    with as_keyboard_interrupt(), screen.alternate():
        unsettled, asked_at = False, time.monotonic()
        while True:
            screen.draw(output.rendered(current, render.status))
            ready, _, _ = select.select(waits, [], [], 1.0)  # s: the remaining times go on
            if sys.stdin in ready and os.read(sys.stdin.fileno(), 64).lower() in (b"q", b""):
                return
            news = _drain(client)
            if news or unsettled or time.monotonic() - asked_at >= _REFRESH_INTERVAL_S:
                current, asked_at = client.call("status", given), time.monotonic()
            unsettled = news


def _drain(client: Client) -> bool:
    """Read all pending events; whether there were any."""
    received = False
    while client.next_event(0):
        received = True
    return received
