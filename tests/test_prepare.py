"""What is done before a first invitation asks for it, and what it does not load."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psutil
import pytest

from pairingd.core.refusal import PairingError
from tests.session import own_stage
from tests.stage import Stage, until
from tests.waiting import WAIT_S

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/usr/local/sbin")


stage = own_stage


def sshd_through(stage: Stage, script: str) -> None:
    """`script` runs before the real sshd, with its arguments."""
    sshd = stage.path / "sshd"
    sshd.write_text(f'#!/bin/sh\n{script}\nexec {SSHD} "$@"\n')
    sshd.chmod(0o755)
    stage.configure(f'[sshd]\ncommand = "{sshd}"\n')


def test_prepare_has_sshd_tested(stage: Stage) -> None:
    arguments = stage.path / "arguments"
    sshd_through(stage, f'echo "$*" >>{arguments}')
    stage.daemon()
    test = f"-t -f {stage.home}/sshd_config"
    with stage.client() as client:
        assert not arguments.exists()
        client.notify("prepare")
        until(lambda: arguments.exists() and test in arguments.read_text(), "sshd is tested")
        assert client.call("status")["invitations"] == []


def test_a_daemon_ends_while_sshd_is_starting_for_its_test(stage: Stage) -> None:
    started = stage.path / "started"
    sshd_through(stage, f"echo >{started}; sleep 0.5")
    daemon = stage.daemon()
    with stage.client() as client:
        client.notify("prepare")
        until(started.exists, "sshd is starting")
        client.call("stop")
    assert daemon.wait(WAIT_S) == 0


def test_a_stop_does_not_wait_for_each_test_of_an_sshd_that_hangs(stage: Stage) -> None:
    started = stage.path / "started"
    sshd_through(stage, f"echo $$ >>{started}; exec sleep 3600")
    daemon = stage.daemon()
    with stage.client() as client:
        for _ in range(10):
            client.notify("prepare")
        until(started.exists, "sshd hangs")
        client.call("stop")
    assert daemon.wait(WAIT_S) == 0
    [hung] = started.read_text().split()
    assert not psutil.pid_exists(int(hung))


def test_an_sshd_that_cannot_be_used_is_reported_by_the_invitation(stage: Stage) -> None:
    stage.configure('[sshd]\ncommand = "/nonexistent/sshd"\n')
    stage.guest("octocat")
    daemon = stage.daemon()
    with stage.client() as client:
        client.notify("prepare")
        assert client.call("status")["invitations"] == []
    assert stage.asks("invite", "octocat", "--no-copy")["error"]["code"] == "no-sshd"
    stage.pairctl("stop")
    _, log = daemon.communicate()
    assert "pairingd" in log
    assert "Traceback" not in log


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_an_idle_daemon_has_not_loaded_openssl(stage: Stage) -> None:
    loaded = Path(f"/proc/{stage.daemon().pid}/maps")
    stage.pairctl("status")
    assert "libssl" not in loaded.read_text()
    with stage.client() as client:
        client.notify("prepare")
        until(lambda: "libssl" in loaded.read_text(), "httpx is loaded")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_only_a_refused_request_loads_pydantic(stage: Stage) -> None:
    stage.guest("octocat")
    daemon = stage.daemon()
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    loaded = Path(f"/proc/{daemon.pid}/maps")
    assert "pydantic_core" not in loaded.read_text()
    with stage.client() as client, pytest.raises(PairingError, match="limit: Input should be"):
        client.call("status", {"limit": 0})
    assert "pydantic_core" in loaded.read_text()
