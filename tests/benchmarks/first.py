"""`pairctl invite` without a router, from nothing and later, against the same by hand."""

from __future__ import annotations

import time

from tests.benchmarks.figure import Figure, interleaved, of_samples
from tests.stage import PAIRCTL, Stage, until

ROUNDS = 5
_NO_ROUTER = "[router]\nenabled = false\n"
_PEOPLES_SHELL = "set-option -g default-shell /bin/bash\n"
_INVITE = ("invite", "octocat", "--ttl", "1h", "--no-copy")
_BY_HAND = "curl, tmux by hand"
_SCRIPT = """
curl -sf {forge}/octocat.keys >authorized_keys
tmux -S hand.sock new-session -d
echo ssh host@192.0.2.1
"""


def measure() -> list[Figure]:
    with Stage() as stage:
        config = stage.home / "config.toml"
        config.write_text(config.read_text().partition("[router]")[0] + _NO_ROUTER)
        (stage.user_home / ".tmux.conf").write_text(_PEOPLES_SHELL)
        stage.guest("octocat")

        def cold() -> float:
            _clear(stage)
            stage.pairctl("stop", check=False)
            return _timed(stage)

        def first() -> float:
            _clear(stage)
            stage.pairctl("stop", check=False)
            stage.pairctl("start")
            return _timed(stage)

        def later() -> float:
            _clear(stage)
            return _timed(stage)

        def by_hand() -> float:
            began = time.perf_counter()
            stage.run("sh", "-e", "-c", _SCRIPT.format(forge=stage.forge))
            taken = time.perf_counter() - began
            stage.run("tmux", "-S", "hand.sock", "kill-server")
            return taken

        cold()
        samples = interleaved(ROUNDS, cold, by_hand, first, later)
    rows = ((samples[0], "no daemon yet", 9.5), (samples[2], "the first of a daemon", 4.3))
    return [
        of_samples(
            f"pairctl invite, no router, {what}", ours, _BY_HAND, samples[1], most_ratio=most
        )
        for ours, what, most in (*rows, (samples[3], "a later one", 2.8))
    ]


def _timed(stage: Stage) -> float:
    began = time.perf_counter()
    stage.run(PAIRCTL, *_INVITE)
    return time.perf_counter() - began


def _clear(stage: Stage) -> None:
    stage.pairctl("end", check=False)
    socket = str(stage.home / "tmux.sock")
    stage.run("tmux", "-S", socket, "kill-server", check=False)
    until(lambda: stage.run("tmux", "-S", socket, "has-session", check=False).returncode, "no tmux")
