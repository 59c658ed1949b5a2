"""`pairctl deny`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl import output
from pairctl.client import connect
from pairctl.render import denied

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        reply = client.call("deny", {"guest": args.guest})
    output.result(reply, denied, as_json=args.json)
