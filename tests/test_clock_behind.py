"""A daemon that starts with a clock behind the latest time that an earlier one has seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.session import own_stage
from tests.stage import ROOT, Stage, until
from tests.waiting import WAIT_S

SET_BACK = (
    "import time; real = time.time; time.time = lambda: real() - {back}\n"
    "from pairingd.__main__ import main; raise SystemExit(main())"
)


stage = own_stage


@pytest.mark.attack(
    "waits until the daemon is killed and starts with the clock set back", "is out for good"
)
@pytest.mark.parametrize("back", [5, 10 * 365 * 86400])
def test_no_guest_gets_in_after_the_clock_was_set_back(stage: Stage, back: int) -> None:
    guest = stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy", "--ttl", "1h")
    stage.door = stage.asks("status")["door"]["port"]
    guest.joins().shows("pairing")
    os.kill(stage.asks("status")["daemon"]["pid"], signal.SIGKILL)
    until(lambda: stage.pairctl("status", check=False).returncode == 3, "it is dead")
    process = subprocess.Popen(
        [sys.executable, "-c", SET_BACK.format(back=back)],
        env=stage.environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: stage.pairctl("status", check=False).returncode == 0, "a daemon")
        status = stage.asks("status")
        assert status["invitations"] == []
        assert status["door"]["open"] is False
        assert (stage.home / "authorized_keys").read_text() == ""
        [told] = [one for one in status["warnings"] if one["code"] == "clock-behind"]
        assert "already" in told["message"]
        assert guest.runs(port=stage.door).returncode == 255
        [why] = [one for one in stage.asks("log")["events"] if one["kind"] == "trouble"]
        assert why["data"]["code"] == "clock-behind"
        assert "error" not in stage.asks("invite", "octocat", "--no-copy")
        assert [one["state"] for one in stage.asks("status")["invitations"]] == ["live"]
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)
