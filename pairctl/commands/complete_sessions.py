"""`pairctl complete-sessions`: the sessions that complete a word on the command line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pairctl.commands.complete_guests import SILENCE
from pairctl.control.client import reach
from pairctl.text import output
from pairingd.core.text import for_terminal

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    """One a line, the newest first. Prints none, and never an error, if no daemon runs."""
    sessions: list[str] = []
    with contextlib.suppress(Exception), reach(SILENCE) as client:
        kept = client.call("receipts", silence=SILENCE)["sessions"]
        names = [entry["session"] for entry in kept]
        sessions = [name for name in names if name.startswith(args.word)]
    if args.json:
        output.document({"sessions": sessions})
    else:
        for session in sessions:
            output.write(for_terminal(session))
