"""Starting and stopping, with the real daemon where it can be made to do it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairctl.__main__ import main
from pairctl.arguments import parse
from pairctl.commands import stop
from pairingd.core.refusal import PairingError
from tests.fakes.daemon import FakeDaemon


@pytest.fixture
def stopped(home: Path) -> Iterator[None]:
    """Whatever daemon a test leaves running is ended after it."""
    yield
    lock = home / "pairingd.lock"
    if not lock.exists():
        return
    with lock.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(int(held.read()), signal.SIGTERM)
            fcntl.flock(held, fcntl.LOCK_SH)


@pytest.mark.usefixtures("stopped")
def test_start_restart_and_stop(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> dict[str, object]:
        assert main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert isinstance(told, dict)
        return told

    first = run("start")
    assert first["started"] is True
    assert run("start") == {**first, "started": False}
    second = run("restart")
    assert second["started"] is True
    assert second["pid"] != first["pid"]
    assert run("stop") == {"pid": second["pid"]}
    assert main(["stop"]) == 3
    third = run("restart")
    assert third["started"] is True


@pytest.mark.usefixtures("stopped")
def test_invite_starts_the_daemon_and_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.toml").write_text('[tmux]\ncommand = "/nonexistent/tmux"\n')
    assert main(["invite", "octocat"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("starting pairingd\nerror: /nonexistent/tmux: ")
    assert main(["status"]) == 0


def test_a_daemon_that_cannot_start_is_told_in_its_own_words(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "config.toml").write_text("[door]\nprot = 1\n")
    for words in (["start"], ["restart"], ["invite", "octocat"]):
        assert main([*words, "--json"]) == 3
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "start-failed"
        assert "prot" in error["message"]
        assert error["hint"]


def test_an_older_daemon_can_be_stopped(sock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeDaemon(sock, version="0.0.1", protocol=0) as daemon:
        assert main(["stop"]) == 0
        assert daemon.asked("stop") == {}
    assert capsys.readouterr().out == f"pairingd (pid {os.getpid()}) has ended\n"


def test_a_daemon_that_does_not_end_is_a_failure(sock: Path, home: Path) -> None:
    lock = home / "pairingd.lock"
    lock.write_text(f"{os.getpid()}\n")
    with lock.open() as held, FakeDaemon(sock):
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PairingError) as failed:
            stop.run(parse(["stop", "--json"]), limit_s=0.2)
    assert failed.value.code == "stop-failed"
