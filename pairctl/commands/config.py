"""`pairctl config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.control.client import connect
from pairctl.text import output, render

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        reply = client.call("config")
    output.result(reply, render.settings, as_json=args.json)
