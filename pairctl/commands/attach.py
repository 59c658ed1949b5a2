"""`pairctl attach`."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from pairctl.control.client import connect
from pairctl.text import layout, output, times
from pairctl.tmux.session import Session
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.control.client import Client
    from pairingd.protocol.results import Receipt

_NOTICE_TIMEOUT_S = 5.0  # for the daemon to notice that tmux has ended
_POLL_INTERVAL_S = 0.1


def run(_: Namespace) -> int:
    with connect() as client:
        session = Session(client.hello)
    return enter(session)


def enter(session: Session) -> int:
    """Attach until the host leaves the session or it ends; tmux's exit status. Raises as
    Session.attach.
    """
    status = session.attach()
    left = time.time()
    with contextlib.suppress(PairingError):  # without a daemon there is nothing to add
        if not session.exists():
            with connect() as client:
                _say_what_ended(client, left)
    return status


def _say_what_ended(client: Client, left: float) -> None:
    """Print whose invitations have ended with the session, if it ended just now."""
    deadline = time.monotonic() + _NOTICE_TIMEOUT_S
    receipt: Receipt = client.call("receipt")
    while not receipt["ended_at"] and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL_S)
        receipt = client.call("receipt")
    ended = receipt["ended_at"]
    if not ended or times.seconds(ended) < int(left) - _NOTICE_TIMEOUT_S:
        return
    guests = [
        invitation["guest"]
        for invitation in receipt["invitations"]
        if invitation.get("cause") == "tmux-gone"
    ]
    if guests:
        text = f"the tmux session has ended, and with it the {_invitations(guests)}"
        for line in layout.wrapped("", text, output.WIDTH):
            output.message(line)


def _invitations(guests: list[str]) -> str:
    *others, last = guests
    return f"invitations of {', '.join(others)} and {last}" if others else f"invitation of {last}"
