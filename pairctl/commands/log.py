"""`pairctl log`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pairctl.control.client import connect
from pairctl.text import output, render

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.control.client import Client


def run(args: Namespace) -> None:
    newest = {"limit": args.limit} if args.limit else {}
    with connect() as client:
        if args.follow:
            with contextlib.suppress(KeyboardInterrupt):
                _follow(client, newest, as_json=args.json)
        else:
            output.result(client.call("log", newest), render.log, as_json=args.json)


def _follow(client: Client, newest: dict[str, Any], *, as_json: bool) -> None:
    for event in client.call("watch", newest)["events"]:
        output.line(event, render.event, as_json=as_json)
    while True:
        while event := client.next_event(0):
            output.line(event, render.event, as_json=as_json)
        output.wait_for(client)
