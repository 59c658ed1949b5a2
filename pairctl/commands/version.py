"""`pairctl --version`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairctl.control.client import reach
from pairctl.failures import NotRunning
from pairctl.text import output
from pairingd import __version__
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.text.output import View


def run(args: Namespace) -> None:
    """Both versions. A daemon that does not run or fails is no error."""
    running, otherwise = None, "(unknown)"
    try:
        with reach() as client:
            running = client.hello["version"]
    except NotRunning:
        otherwise = "(not running)"
    except PairingError as failure:
        output.problem("warning", failure.message, failure.hint)

    def render(versions: dict[str, Any], _: View) -> str:
        return f"pairctl {versions['pairctl']}\npairingd {versions['pairingd'] or otherwise}"

    output.result({"pairctl": __version__, "pairingd": running}, render, as_json=args.json)
