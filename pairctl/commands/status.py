"""`pairctl status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl import output, render
from pairctl.client import connect

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    with connect() as client:
        if args.watch:
            from pairctl.commands.watch import watch

            watch(client, args)
        else:
            reply = client.call("status", {"all": args.all})
            output.result(reply, render.status, as_json=args.json)
