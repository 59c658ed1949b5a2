"""`pairctl start`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairctl.control import daemon
from pairctl.control.client import connect
from pairctl.failures import NoDaemon
from pairctl.text import output

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.control.client import Client
    from pairctl.text.output import View


def run(args: Namespace) -> None:
    try:
        with connect() as client:
            report(client, started=False, as_json=args.json)
    except NoDaemon:
        with daemon.start() as client:
            report(client, started=True, as_json=args.json)


def report(client: Client, *, started: bool, as_json: bool) -> None:
    result = {"started": started, "version": client.hello["version"], "pid": client.hello["pid"]}
    output.result(result, _render, as_json=as_json)


def _render(result: dict[str, Any], _: View) -> str:
    state = "has started" if result["started"] else "is already running"
    return f"pairingd {result['version']} {state} (pid {result['pid']})"
