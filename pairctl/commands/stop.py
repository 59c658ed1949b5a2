"""`pairctl stop`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from pairctl.control import daemon, shutdown
from pairctl.control.client import reach
from pairctl.failures import NotRunning
from pairctl.text import output
from pairingd.home.paths import find_paths

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.text.output import View


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
    output.result(result, _render, as_json=args.json)


def _render(result: dict[str, Any], _: View) -> str:
    stay = "; invitations stay until their time is up" if _somebody_is_invited() else ""
    return f"pairingd (pid {result['pid']}) has ended{stay}"


def _somebody_is_invited() -> bool:
    with contextlib.suppress(OSError), os.scandir(find_paths().live) as files:
        return any(".farewell." not in file.name for file in files)  # else a mark
    return False
