"""`pairctl config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl import output, render
from pairctl.client import connect

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        reply = client.call("config")
    output.result(reply, render.settings, as_json=args.json)
