"""A real child process: a small script stands on PATH as systemd-inhibit."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pairingd.world.awake import Awake, ways
from tests.waiting import WAIT_S

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="caffeinate has a fixed path")

# What systemd-inhibit does: its command runs as a child, and dies with it.
INHIBIT = """\
#!/bin/sh
echo "$$ $*" >>{notes}
while [ "${{1#--}}" != "$1" ]; do shift; done
exec "$@"
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    notes = tmp_path / "notes"
    stand_in(tmp_path, INHIBIT.format(notes=notes), monkeypatch)
    return notes


def stand_in(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "systemd-inhibit"
    program.parent.mkdir(exist_ok=True)
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def pids(notes: Path, count: int = 1) -> list[int]:
    """Of every child that was started, once there are so many."""
    deadline = time.monotonic() + WAIT_S
    while not notes.exists() or notes.read_text().count("\n") < count:
        assert time.monotonic() < deadline, "no child was started"
        time.sleep(0.01)
    return [int(line.split()[0]) for line in notes.read_text().splitlines()]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_one_child_runs_from_start_until_stop(notes: Path) -> None:
    awake = Awake()
    await awake.stop()
    await awake.start()
    await awake.start()
    (pid,) = pids(notes)
    assert runs(pid)
    assert "--what=idle:sleep" in notes.read_text()
    assert "--mode=block" in notes.read_text()
    await awake.stop()
    assert not runs(pid)
    await awake.stop()
    await awake.start()
    assert runs(pids(notes, 2)[1])
    await awake.stop()
    assert not any(runs(each) for each in pids(notes, 2))


async def test_idleness_is_inhibited_if_sleep_may_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notes = tmp_path / "notes"
    refusal = "case $1 in *sleep*) echo 'Access denied' >&2; exit 1 ;; esac\n"
    script = INHIBIT.format(notes=notes).replace("while", f"{refusal}while", 1)
    stand_in(tmp_path, script, monkeypatch)
    awake = Awake()
    await awake.start()
    _, pid = await asyncio.to_thread(pids, notes, 2)
    assert runs(pid)
    assert "--what=idle --mode=block" in notes.read_text()
    await awake.stop()
    assert not runs(pid)
    assert caplog.messages == []


async def test_a_child_that_will_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    stubborn = f"#!/bin/sh\ntrap '' TERM\necho $$ >>{notes}\nwhile :; do read x || sleep 1; done\n"
    stand_in(tmp_path, stubborn, monkeypatch)
    awake = Awake(stop_timeout_s=0.05)
    await awake.start()
    (pid,) = pids(notes)
    await awake.stop()
    assert not runs(pid)


@pytest.mark.parametrize("script", ["#!/bin/sh\necho 'Access denied' >&2\nexit 1\n", "no program"])
async def test_a_failure_is_logged_once_and_raises_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: str,
) -> None:
    stand_in(tmp_path, script, monkeypatch)
    awake = Awake()
    with caplog.at_level(logging.INFO, logger="pairingd"):
        for _ in range(3):
            await awake.start()
            if awake._watching:
                await awake._watching
            await awake.stop()
    (warning,) = caplog.messages
    assert "may fall asleep" in warning
    assert "Access denied" in warning or "format error" in warning


async def test_a_missing_program_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    awake = Awake()
    for _ in range(2):
        await awake.start()
        await awake.stop()
    (warning,) = caplog.messages
    assert "neither caffeinate nor systemd-inhibit" in warning


def test_the_child_ends_with_a_daemon_that_is_killed(notes: Path) -> None:
    daemon = (
        "import asyncio\n"
        "from pairingd.world.awake import Awake\n"
        "async def main():\n"
        "    await Awake().start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", daemon], cwd=Path(__file__).parents[2])
    (pid,) = pids(notes)
    assert runs(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + WAIT_S
    while runs(pid):
        assert time.monotonic() < deadline, "the child has outlived the daemon"
        time.sleep(0.01)


def test_on_macos_caffeinate_watches_our_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert ways() == [["/usr/bin/caffeinate", "-i", "-w", str(os.getpid())]]
