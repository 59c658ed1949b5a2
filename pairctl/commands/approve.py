"""`pairctl approve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.control.client import connect
from pairctl.text import output
from pairctl.text.render import approved

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        reply = client.call("approve", {"guest": args.guest})
    output.result(reply, approved, as_json=args.json)
