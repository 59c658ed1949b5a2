"""The model of launchd: what its sources and the field say of it, without a process."""

from __future__ import annotations

import plistlib
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.mac.launchd.model import Job, Launchd, Signal, Spawn

TARGET = "gui/501/a.job"


@pytest.fixture
def launchd() -> Launchd:
    return Launchd(501)


def agent(tmp_path: Path, **keys: Any) -> str:
    file = tmp_path / "a.job.plist"
    plist = {"Label": "a.job", "ProgramArguments": ["/bin/job"], "RunAtLoad": True, **keys}
    file.write_bytes(plistlib.dumps(plist))
    file.chmod(0o644)
    return str(file)


def loads(launchd: Launchd, file: str, now: float = 0.0) -> Job:
    """The job, running as process 1000."""
    assert launchd.command(["bootstrap", "gui/501", file], now) == (0, "")
    [spawn] = launchd.due(now)
    assert isinstance(spawn, Spawn)
    spawn.job.pid = 1000
    return spawn.job


def code(launchd: Launchd, *argv: str, now: float = 0.0) -> int:
    return launchd.command([*argv], now)[0]


def test_a_job_that_is_not_loaded_is_not_found(launchd: Launchd) -> None:
    assert code(launchd, "print", TARGET) == 113
    assert code(launchd, "kickstart", TARGET) == 113
    assert code(launchd, "bootout", TARGET) == 3
    launchd.quirks["not_loaded"] = 5
    assert code(launchd, "bootout", TARGET) == 5
    assert code(launchd, "kickstart", "-k", TARGET) == 64


def test_bootstrap_refuses_a_loaded_job_a_bad_file_and_a_disabled_job(
    launchd: Launchd, tmp_path: Path
) -> None:
    file = agent(tmp_path)
    assert code(launchd, "bootstrap", "gui/501", "/nonexistent") == 5
    assert code(launchd, "disable", TARGET) == 0
    assert code(launchd, "bootstrap", "gui/501", file) == 5
    assert code(launchd, "enable", TARGET) == 0
    loads(launchd, file)
    assert code(launchd, "bootstrap", "gui/501", file) == 5
    assert '"a.job" => enabled' in launchd.command(["print-disabled", "gui/501"], 0)[1]

    Path(file).chmod(0o666)
    assert code(Launchd(501), "bootstrap", "gui/501", file) == 5


def test_bootout_returns_before_the_job_has_ended(launchd: Launchd, tmp_path: Path) -> None:
    file = agent(tmp_path, ExitTimeOut=15)
    loads(launchd, file)
    assert code(launchd, "bootout", TARGET) == 36
    assert launchd.due(0.0) == [Signal(1000, signal.SIGTERM)]
    assert code(launchd, "print", TARGET) == 0
    assert code(launchd, "bootout", TARGET) == 36
    assert code(launchd, "bootstrap", "gui/501", file) == 37
    assert launchd.due(14.9) == []
    assert launchd.due(15.0) == [Signal(1000, signal.SIGKILL)]
    launchd.ended(1000, -9, 15.1)
    assert launchd.due(15.1) == [Signal(1000, signal.SIGTERM, group=True)]
    assert code(launchd, "print", TARGET) == 113


@pytest.mark.parametrize(("status", "again"), [(0, False), (1, True), (-9, True)])
def test_a_failed_job_starts_again_after_ten_seconds(
    launchd: Launchd, tmp_path: Path, status: int, again: bool
) -> None:
    job = loads(launchd, agent(tmp_path, KeepAlive={"SuccessfulExit": False}))
    launchd.ended(1000, status, 3.0)
    assert launchd.due(9.9) == [Signal(1000, signal.SIGTERM, group=True)]
    assert launchd.due(10.0) == ([Spawn(job)] if again else [])


def test_an_abandoned_group_is_left_alone(launchd: Launchd, tmp_path: Path) -> None:
    loads(launchd, agent(tmp_path, AbandonProcessGroup=True))
    launchd.ended(1000, 0, 3.0)
    assert launchd.due(3.0) == []


def test_without_a_graphical_login_there_is_no_gui_domain(launchd: Launchd, tmp_path: Path) -> None:
    launchd.quirks["no_login"] = True
    assert code(launchd, "enable", TARGET) == 125
    assert code(launchd, "bootstrap", "gui/501", agent(tmp_path)) == 125
    assert code(launchd, "print", TARGET) == 113


def test_a_loaded_job_may_wait_for_a_kickstart(launchd: Launchd, tmp_path: Path) -> None:
    launchd.quirks["does_not_start"] = True
    assert code(launchd, "bootstrap", "gui/501", agent(tmp_path)) == 0
    assert launchd.due(0.0) == []
    assert code(launchd, "kickstart", TARGET) == 0
    [spawn] = launchd.due(0.0)
    assert isinstance(spawn, Spawn)
    spawn.job.pid = 1000
    launchd.quirks["kickstart_of_running"] = 37
    assert code(launchd, "kickstart", TARGET) == 37
