"""`pairctl complete-guests`: the live guests that complete a word on the command line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pairctl.control.client import reach
from pairctl.text import output
from pairingd.core.text import for_terminal

if TYPE_CHECKING:
    from argparse import Namespace

SILENCE = 1.0  # seconds; the user has pressed Tab and waits


def run(args: Namespace) -> None:
    """One a line. Prints none, and never an error, if the daemon does not run or fails."""
    guests: list[str] = []
    with contextlib.suppress(Exception), reach(SILENCE) as client:
        status = client.call("status", silence=SILENCE)
        guests = _fitting(args.word, [invitation["guest"] for invitation in status["invitations"]])
    if args.json:
        output.document({"guests": guests})
    else:
        for guest in guests:
            output.write(for_terminal(guest))


def _fitting(word: str, guests: list[str]) -> list[str]:
    """Whole identities that begin with `word`, and names alone that do and are unique."""
    names = [guest.partition(":")[2] for guest in guests]
    whole = [guest for guest in guests if guest.startswith(word)]
    short = [name for name in names if word and name.startswith(word) and names.count(name) == 1]
    return whole + short
