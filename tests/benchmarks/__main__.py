"""`make bench`: the figures of docs/performance.md, on this machine, in about nine minutes.

Each is a ratio or a count within one run. A missed target is marked, and fails nothing.
"""

from __future__ import annotations

import argparse
import compileall
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.benchmarks import crowd, deadline, flood, gateway, idle, invite, link, ssh, status
from tests.benchmarks.figure import Figure, table
from tests.e2e.network import Network, why_not
from tests.stage import ROOT, Stage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    as_json = parser.parse_args().json
    for package in ("pairingd", "pairctl"):
        compileall.compile_dir(ROOT / package, quiet=2)
    figures = _figures()
    if as_json:
        print(json.dumps({"machine": machine(), "figures": [one.record() for one in figures]}))
    else:
        print(f"{machine()}\n\n{table(figures)}")
    return 0


def _figures() -> list[Figure]:
    with idle.idling() as idler:
        idler.note()
        figures = [
            *_on_the_network(invite.measure, "pairctl invite, gateway known"),
            *_on_this_machine(),
            *_on_the_network(link.measure, link.WHAT, leg_ms=link.LEG_MS),
            *_in_a_crowd(),
            *_on_the_network(gateway.measure, "mapping: time and packets"),
        ]
        return [*figures, *idler.measure()]


def _on_this_machine() -> list[Figure]:
    _say("status, ssh and deadlines")
    with Stage() as stage:
        # As users have it, in a session of its own: Linux shares its CPU time out by sessions
        # (sched_autogroup), and this one is busy.
        stage.pairctl("start")
        guest = stage.guest("octocat")
        stage.pairctl("invite", "octocat", "--ttl", "1h", "--no-copy")
        return [*status.measure(stage), *ssh.measure(stage, guest), *deadline.measure(stage)]


def _in_a_crowd() -> list[Figure]:
    _say("floods of strangers, and many guests at once")
    with Stage() as stage:
        stage.pairctl("start")
        guest = stage.guest("octocat")
        stage.pairctl("invite", "octocat", "--ttl", "1h", "--no-copy")
        return [*flood.measure(stage, guest), *crowd.measure(stage)]


def _on_the_network(
    measure: Callable[[Network], list[Figure]], what: str, *, leg_ms: int = 0
) -> list[Figure]:
    _say(what)
    if reason := why_not():
        return [Figure(what, None, "", why_not=reason)]
    with Network(leg_ms=leg_ms) as network:
        return measure(network)


def machine() -> str:
    system = f"{platform.system()} {platform.release()}"
    with suppress(OSError):
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    # ssh -V says it on standard error.
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    return (
        f"{psutil.cpu_count()} CPUs ({platform.machine()}), {system}, "
        f"Python {platform.python_version()}, {ssh.partition(',')[0]}"
    )


def _say(what: str) -> None:
    print(f"measuring: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
