"""Launchers that hand on signals which they ignore or block, as nohup does, or closed streams."""

from __future__ import annotations

import signal
import sys

from tests.session import own_stage as stage
from tests.stage import Stage, until

__all__ = ["stage"]

CHANGEABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
DEAF = (
    "import os, signal, sys\n"
    f"for number in {[int(number) for number in CHANGEABLE]}:\n"
    "    signal.signal(number, signal.SIG_IGN)\n"
    f"signal.pthread_sigmask(signal.SIG_BLOCK, {[int(number) for number in CHANGEABLE]})\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
)


def test_a_daemon_whose_launcher_ignored_and_blocked_all_signals_serves_as_any(
    stage: Stage,
) -> None:
    daemon = stage.daemon(program=("-c", DEAF, "-m", "pairingd"))
    guest = stage.guest("octocat")
    stage.asks("invite", "octocat", "--no-copy")
    screen = guest.joins()
    screen.shows("octocat rw")
    for role, shown in (("read", "octocat ro"), ("write", "octocat rw")):
        stage.asks("role", "octocat", role)
        screen.shows(shown)
    stage.asks("end")
    screen.ended()
    daemon.terminate()
    until(lambda: daemon.poll() is not None, "the daemon has ended")
    assert daemon.returncode == 0


def test_a_daemon_whose_launcher_closed_its_standard_streams_serves_as_any(stage: Stage) -> None:
    closed = "import os, sys; os.closerange(0, 3); os.execv(sys.argv[1], sys.argv[1:])"
    daemon = stage.daemon(program=("-c", closed, sys.executable, "-m", "pairingd"))
    assert stage.asks("status")["daemon"]["pid"] == daemon.pid


def test_pairctl_hears_how_its_children_end_although_its_launcher_ignored_that(
    stage: Stage,
) -> None:
    (stage.path / "pbcopy").write_text("#!/bin/sh\nexit 1\n")
    (stage.path / "pbcopy").chmod(0o700)
    stage.guest("octocat")
    path = f"PATH={stage.path}:{stage.environment['PATH']}"
    invite = ("-m", "pairctl", "invite", "octocat")
    assert "copied" not in stage.run("env", path, sys.executable, "-c", DEAF, *invite).stdout
