"""`pairctl stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.control import daemon, shutdown
from pairctl.control.client import reach
from pairctl.failures import NotRunning
from pairctl.text import output

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace, limit_s: float = shutdown.STOP_LIMIT_S) -> None:
    """Stop a daemon of any version."""
    try:
        with reach() as client:
            shutdown.stop(client, limit_s)
            result = {"pid": client.hello["pid"]}
    except NotRunning as absent:
        raise NotRunning(
            absent.code, absent.message, "there is nothing to stop; pairctl start starts one"
        ) from None
    finally:
        daemon.unload()
    output.result(
        result,
        lambda result, _: (
            f"pairingd (pid {result['pid']}) has ended; invitations stay until their time is up"
        ),
        as_json=args.json,
    )
