"""`pairctl attach`."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from pairctl import output, times
from pairctl.client import connect
from pairctl.session import Session
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.client import Client
    from pairingd.protocol.results import Receipt

_NOTICED_WITHIN_S = 5.0  # by the daemon, that tmux has ended
_LOOK_AGAIN_S = 0.1


def run(_: Namespace) -> int:
    with connect() as client:
        session = Session(client.hello)
    return enter(session)


def enter(session: Session) -> int:
    """Until the session is left or has ended; tmux's exit status. Raises as Session.attach."""
    status = session.attach()
    left = time.time()
    with contextlib.suppress(PairingError):  # there is nothing to add where nobody can be asked
        if not session.exists():
            with connect() as client:
                _say_what_ended(client, left)
    return status


def _say_what_ended(client: Client, left: float) -> None:
    """Who was invited until the session ended, as it did just now."""
    deadline = time.monotonic() + _NOTICED_WITHIN_S
    receipt: Receipt = client.call("receipt")
    while not receipt["ended_at"] and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
        receipt = client.call("receipt")
    ended = receipt["ended_at"]
    if not ended or times.seconds(ended) < int(left) - _NOTICED_WITHIN_S:
        return
    guests = [one["guest"] for one in receipt["invitations"] if one["state"] == "ended"]
    if guests:
        output.message(
            f"the tmux session has ended, and with it the invitation of {', '.join(guests)}"
        )
