"""`pairctl status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.control.client import connect, reach
from pairctl.failures import NoDaemon
from pairctl.text import output, render

if TYPE_CHECKING:
    from argparse import Namespace

_PROMPT_SILENCE_S = 2.0  # a prompt does not wait longer


def run(args: Namespace) -> None:
    if args.line:
        _print_line(args)
        return
    given = {"all": args.all, "limit": args.limit}
    with connect() as client:
        if args.watch:
            from pairctl.commands.watch import watch

            watch(client, given, as_json=args.json)
        else:
            reply = client.call("status", given)
            output.result(reply, render.status, as_json=args.json)


def _print_line(args: Namespace) -> None:
    """For prompts and status bars: prints no error if no daemon runs."""
    line = ""
    try:
        with reach(_PROMPT_SILENCE_S) as client:
            reply = client.call("status", silence=_PROMPT_SILENCE_S)
            line = output.rendered(reply, render.status_line)
    except NoDaemon:
        pass
    if args.json:
        output.document({"line": line})
    elif line:
        output.write(line)
