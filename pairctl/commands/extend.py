"""`pairctl extend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.control.client import connect
from pairctl.text import output, render

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    more = {"until": args.until} if args.until else {"seconds": args.duration}
    with connect() as client:
        reply = client.call("extend", {"guest": args.guest, **more})
    output.result(reply, render.changed, as_json=args.json)
