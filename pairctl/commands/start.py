"""`pairctl start`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairctl import daemon, output
from pairctl.client import connect
from pairctl.failures import NoDaemon

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.client import Client
    from pairctl.output import View


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
