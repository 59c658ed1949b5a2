"""`pairctl restart`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pairctl import daemon
from pairctl.client import reach
from pairctl.commands.start import report
from pairctl.failures import NoDaemon

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    """Where none is running this is `start`."""
    with contextlib.suppress(NoDaemon), reach() as client:
        daemon.stop(client)
    with daemon.start() as client:
        report(client, started=True, as_json=args.json)
