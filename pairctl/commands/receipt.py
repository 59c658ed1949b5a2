"""`pairctl receipt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.control.client import connect
from pairctl.text import output, receipt

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        if args.list:
            output.result(client.call("receipts"), receipt.receipts, as_json=args.json)
        else:
            reply = client.call("receipt", {"session": args.session})
            output.result(reply, receipt.receipt, as_json=args.json)
