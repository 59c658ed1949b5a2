"""Strangers at the door, in many shapes: what the tests and the benchmarks hold it against."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.stage import ROOT

GUEST = "127.0.0.9"  # where the guest comes from, and who shares their address
FOUR = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
LINE = "SSH-2.0-x\\r\\n"
AT_ONCE = 0.0


@dataclass(frozen=True)
class Flood:
    """`each` connections from each of `sources`. `reopen`: seconds until each is opened anew;
    `again`: seconds from its end by the door to the next one, None: it stays away.
    """

    what: str
    sources: tuple[str, ...] = FOUR
    each: int = 3
    says: str = ""
    dribble: float = 0.0
    reopen: float = 0.0
    again: float | None = None

    @contextmanager
    def against(self, port: int) -> Iterator[None]:
        """From when all connections have been opened once."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.fakes.strangers", "--port", str(port)),
                *(f"--each={self.each}", f"--says={self.says}", f"--dribble={self.dribble}"),
                *(f"--reopen={self.reopen}",),
                *(() if self.again is None else (f"--again={self.again}",)),
                *("--from", *self.sources),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()
            process.communicate()


FLOODS = (
    Flood("3 silent connections from each of 4 addresses, reopened every 4.5 s", reopen=4.5),
    Flood("3 silent connections from each of 4 addresses, held"),
    Flood("3 silent connections from the guest's address, reopened every 4.5 s", (GUEST,), reopen=4.5),
    Flood("3 silent connections from the guest's address, held", (GUEST,)),
    Flood("1000 silent connections", each=250),
    Flood("1000 silent connections, reopened when closed", each=250, again=0.5),
    Flood("80 that say who they are and no more", each=20, says=LINE, again=AT_ONCE),
    Flood("3 of these from the guest's address", (GUEST,), says=LINE, again=AT_ONCE),
    Flood("80 that say a byte in half a second", each=20, says=LINE, dribble=0.5, again=AT_ONCE),
    Flood("80 that speak HTTP, over and over", each=20, says="GET / HTTP/1.0\\r\\n\\r\\n", again=AT_ONCE),
    Flood("400 connections a second", each=10, says=LINE, reopen=0.1),
    Flood(
        "100 addresses with one that says who it is and no more",
        tuple(f"127.0.1.{n}" for n in range(100)),
        each=1,
        says=LINE,
        again=AT_ONCE,
    ),
)  # fmt: skip
