"""`pairctl extend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl import output, render
from pairctl.client import connect

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    more = {"until": args.until} if args.until else {"seconds": args.duration}
    with connect() as client:
        reply = client.call("extend", {"guest": args.guest, **more})
    output.result(reply, render.changed, as_json=args.json)
