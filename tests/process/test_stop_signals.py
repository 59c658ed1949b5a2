"""Signals that stop the daemon before it serves: it ends as if it had been stopped later."""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing

import pytest

from tests.session import own_stage as stage
from tests.stage import Stage

__all__ = ["stage"]

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# What the daemon does when the signal comes, and the code that sends it then.
MOMENTS = {
    "it reads its options": """
class Sends:
    def find_spec(name, *_):
        if name == "pairingd.command_line":
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Sends)""",
    "it imports the server": """
class Sends:
    def find_spec(name, *_):
        if name == "pairingd.wiring":
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Sends)""",
    "its control socket is bound": """
from pairingd import wiring
wiring.watch_without_threads = lambda: os.kill(os.getpid(), number)""",
    "it opens its state": """
from pairingd import wiring
opened = wiring.Store.open
wiring.Store.open = lambda *given: (os.kill(os.getpid(), number), opened(*given))[1]""",
}
FIRST = next(iter(MOMENTS))


def daemon(moment: str, number: int) -> tuple[str, ...]:
    program = f"import os, sys\nnumber = {number}\n{MOMENTS[moment]}\n"
    program += "from pairingd.__main__ import main\nsys.exit(main())\n"
    return sys.executable, "-c", program


@pytest.mark.parametrize(
    ("moment", "number"),
    [*((moment, signal.SIGTERM) for moment in MOMENTS), *((FIRST, one) for one in STOPS[1:])],
)
def test_a_signal_before_the_daemon_serves_ends_it_cleanly(
    stage: Stage, moment: str, number: signal.Signals
) -> None:
    done = stage.run(*daemon(moment, number), check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not (stage.home / "pairingd.sock").exists()


def test_a_daemon_that_cannot_open_its_state_leaves_no_control_socket(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.home / "state.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
    (stage.home / "state.db").chmod(0o600)
    done = stage.run(sys.executable, "-P", "-m", "pairingd", check=False)
    assert "newer pairingd (schema 99)" in done.stderr
    assert not (stage.home / "pairingd.sock").exists()


def test_ctrl_c_ends_the_process_that_only_detaches(stage: Stage) -> None:
    program = (
        "import os, signal, sys\n"
        "from pairingd import command_line\n"
        "command_line.detach = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "from pairingd.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = stage.run(sys.executable, "-c", program, "--detach", check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""
