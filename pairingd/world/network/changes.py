"""Reports that routes or addresses have changed: by rtnetlink, or macOS's routing socket."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket

if sys.platform == "darwin":
    from pairingd.world.network import macos as system
else:
    from pairingd.world.network import linux as system

_MAX_MESSAGE_BYTES = 65536
_log = logging.getLogger(__name__)


@contextmanager
def watch(changed: Callable[[], None], *, debounce: float = 0.25) -> Iterator[None]:
    """Within it, call `changed` on the running loop `debounce` seconds after a change.

    Changes in between count as one. A call is a hint to look again: some changes bring none, and
    some calls are for nothing (router advertisements renew addresses). If the kernel gives no such
    messages, no call comes, and the log says so.
    """
    try:
        messages = system.open_route_socket()
    except OSError as error:
        _log.warning("network changes are seen by polling only: %s", error.strerror)
        yield
        return
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def fire() -> None:
        nonlocal timer
        timer = None
        changed()

    def readable() -> None:
        nonlocal timer
        if _drain(messages) and timer is None:
            timer = loop.call_later(debounce, fire)

    with messages:
        loop.add_reader(messages, readable)
        try:
            yield
        finally:
            loop.remove_reader(messages)
            if timer is not None:
                timer.cancel()


def _drain(messages: socket) -> bool:
    """Read what has come; return whether any of it is a change."""
    seen = False
    while True:
        try:
            message = messages.recv(_MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return seen
        except OSError:  # ENOBUFS: some were lost, so something changed
            return True
        seen = system.is_change(message) or seen
