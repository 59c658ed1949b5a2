"""`pairctl approve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl import output
from pairctl.client import connect
from pairctl.render import approved

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        reply = client.call("approve", {"guest": args.guest})
    output.result(reply, approved, as_json=args.json)
