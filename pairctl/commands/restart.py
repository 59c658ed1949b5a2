"""`pairctl restart`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.commands.start import report
from pairctl.control import daemon

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    """As `start` if no daemon runs."""
    with daemon.restart() as client:
        report(client, started=True, as_json=args.json)
