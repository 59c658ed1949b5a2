"""`make bench`: the figures of docs/performance.md, on this machine.

Each is a median, a ratio or a count within one run. A missed target is marked, and fails nothing.
All parts but `floods` and `networks` are meant to take less than six minutes on an idle machine;
name some for less.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress

import psutil

from tests.benchmarks import (
    box,
    crowd,
    deadline,
    first,
    flood,
    gateway,
    growth,
    idle,
    invite,
    link,
    networks,
    ssh,
    starts,
    status,
)
from tests.benchmarks.figure import Figure, table
from tests.e2e.network import Network, why_not
from tests.stage import ROOT, Guest, Stage

LONG = {"floods", "networks"}  # measured when they are named
IDLE = "idle"  # which waits while the others are measured


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join([*PARTS, IDLE]))
    given = parser.parse_args()
    if unknown := set(given.parts) - {*PARTS, IDLE}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for package in ("pairingd", "pairctl"):
        compileall.compile_dir(ROOT / package, quiet=2)
    load = os.getloadavg()[0]
    figures = list(_figures(given.parts or [*(set(PARTS) - LONG), IDLE]))
    about = {"machine": machine(), "load": [round(load, 1), round(os.getloadavg()[0], 1)]}
    if given.json:
        print(json.dumps({**about, "figures": [one.record() for one in figures]}, indent=1))
    else:
        before, after = about["load"]
        print(f"{about['machine']}; load {before} before, {after} after\n\n{table(figures)}")
    return 0


def _figures(names: Iterable[str]) -> Iterable[Figure]:
    with ExitStack() as stack:
        idler = stack.enter_context(idle.idling()) if IDLE in names else None
        if idler:
            idler.note()
        for name, measure in PARTS.items():
            if name in names:
                print(f"measuring: {name}", file=sys.stderr, flush=True)
                yield from measure()
        if idler:
            yield from idler.measure()


def _invited(measure: Callable[[Stage, Guest], list[Figure]]) -> Callable[[], list[Figure]]:
    """On a stage with the daemon running, octocat invited and nobody in the session."""

    def measured() -> list[Figure]:
        with Stage() as stage:
            # As users have it, in a session of its own: Linux shares its CPU time out by sessions
            # (sched_autogroup), and this one is busy.
            stage.pairctl("start")
            guest = stage.guest("octocat")
            stage.pairctl("invite", "octocat", "--ttl", "1h", "--no-copy")
            return measure(stage, guest)

    return measured


def _on_the_network(
    measure: Callable[[Network], list[Figure]], what: str, *, leg_ms: int = 0
) -> Callable[[], list[Figure]]:
    def measured() -> list[Figure]:
        if reason := why_not():
            return [Figure(what, None, "", why_not=reason)]
        with Network(leg_ms=leg_ms) as network:
            return measure(network)

    return measured


PARTS: dict[str, Callable[[], list[Figure]]] = {
    "first": first.measure,
    "invite": _on_the_network(invite.measure, invite.WHAT),
    "status": _invited(status.measure),
    "ssh": _invited(ssh.measure),
    "link": _on_the_network(link.measure, link.WHAT, leg_ms=link.LEG_MS),
    "box": box.measure,
    "starts": starts.measure,
    "end": _invited(deadline.measure),
    "growth": growth.measure,
    "crowd": _invited(crowd.measure),
    "floods": _invited(flood.measure),
    "mapping": _on_the_network(gateway.measure, "mapping: time and packets"),
    "networks": networks.measure,
}


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


if __name__ == "__main__":
    sys.exit(main())
