"""How long the first invitation waits in each kind of network, with nothing configured.

Further ways in go on in the background and are announced, so none of them keeps the host waiting.
"""

from __future__ import annotations

import time

from tests.benchmarks.figure import Figure
from tests.e2e.internet import LAYOUTS, Internet, Layout
from tests.e2e.network import why_not
from tests.e2e.people import FORGE_CONFIG, Guest, Host

MOST_S = 12.0


def measure() -> list[Figure]:
    if reason := why_not():
        return [Figure("invite in each network", None, "", why_not=reason)]
    return [_waits(layout) for layout in LAYOUTS]


def _waits(layout: Layout) -> Figure:
    with Internet(layout) as internet:
        host, guest = Host(internet, internet.host), Guest(internet, "octocat")
        host.configure(FORGE_CONFIG)
        host.pairctl("start")
        began = time.perf_counter()
        host.pairctl("invite", guest.name, "--no-copy")
        taken = time.perf_counter() - began
        best = host.status()["endpoints"][0]["kind"]
        host.pairctl("stop")
    return Figure(f"invite: {layout.name}", taken, "s", f"best: {best}", most=MOST_S)
