"""`pairctl deny`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.control.client import connect
from pairctl.text import output
from pairctl.text.render import denied

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        reply = client.call("deny", {"guest": args.guest})
    output.result(reply, denied, as_json=args.json)
