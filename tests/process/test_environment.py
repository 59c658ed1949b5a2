"""The proxies and certificates of the daemon, which are those of whatever started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pairingd.doctor import network
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import State, Subject
from pairingd.home import config
from pairingd.process import environment
from tests.session import own_stage
from tests.stage import Stage, free_port
from tests.waiting import WAIT_S

stage = own_stage

PROXY = "http://ann:secret@127.0.0.1:3128"
DIFFERS = "pairingd was started with another HTTPS_PROXY than this terminal has, or none"
# No /bin/sh: macOS shows no variables of its own programs.
RUNS = "import sys; print(flush=True); sys.stdin.read()"
UNDER_SYSTEMD = (
    "import os, sys; os.environ['SYSTEMD_EXEC_PID'] = str(os.getpid());"
    f"os.execv(sys.executable, [sys.executable, '-c', {RUNS!r}])"
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT_"):
            monkeypatch.delenv(name)


@contextmanager
def daemon(code: str = RUNS, **variables: str) -> Iterator[int]:
    """The pid of a process with these variables."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
        process.communicate()


def compared(pid: int, platform: str = "linux") -> environment.Difference:
    other = environment.compared(pid, platform)
    assert other
    assert "secret" not in f"{other.message}{other.hint}"
    return other


def test_the_same_values_are_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon(https_proxy=PROXY) as pid:
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        assert environment.compared(pid) is None


def test_a_daemon_that_has_ended_is_no_difference() -> None:
    with daemon() as pid:
        pass
    assert environment.compared(pid) is None


def test_a_restart_from_this_terminal_changes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon() as pid:
        monkeypatch.setenv("https_proxy", PROXY)
        monkeypatch.setenv("SSL_CERT_FILE", "/etc/office.pem")
        other = compared(pid)
    assert "HTTPS_PROXY, SSL_CERT_FILE" in other.message
    assert other.hint == "pairctl restart"


def test_systemd_must_be_given_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon(UNDER_SYSTEMD, all_proxy=PROXY) as pid:
        monkeypatch.setenv("https_proxy", PROXY)
        other = compared(pid)
    assert other.hint == (
        "systemctl --user import-environment https_proxy; "
        "systemctl --user unset-environment all_proxy; pairctl restart"
    )


def test_launchd_must_be_given_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon(XPC_SERVICE_NAME="io.github.pairing.pairingd", NO_PROXY="x") as pid:
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        other = compared(pid, "darwin")
    assert other.hint == (
        'launchctl setenv HTTPS_PROXY "$HTTPS_PROXY"; launchctl unsetenv NO_PROXY; pairctl restart'
    )
    with daemon(XPC_SERVICE_NAME="application.com.apple.Terminal.1", NO_PROXY="x") as pid:
        assert compared(pid, "darwin").hint == "pairctl restart"


async def test_doctor_warns_beside_what_it_reaches_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = config.Provider(keys_url=f"http://127.0.0.1:{free_port()}/{{name}}.keys")
    settings = config.Settings(config.Config(providers={"github": closed}), "")
    with daemon() as pid:
        monkeypatch.setenv("HTTPS_PROXY", PROXY)
        subject = Subject(None, settings, Daemon(connected=True, pid=pid))
        first, second = [finding async for finding in network.forges(subject)]
    assert (first.name, first.state, first.message) == ("forge", State.WARN, DIFFERS)
    assert second.message.startswith("github: 127.0.0.1")


def test_invite_names_the_proxy_that_the_daemon_lacks(stage: Stage) -> None:
    closed = f"https://127.0.0.1:{free_port()}/{{name}}.keys"
    stage.configure(f'\n[providers.work]\nkeys_url = "{closed}"\n')
    stage.daemon()
    done = subprocess.run(
        [Path(sys.executable).parent / "pairctl", "invite", "work:ann", "--json"],
        env={**stage.environment, "HTTPS_PROXY": PROXY},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=WAIT_S,
    )
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "forge-unreachable"
    assert error["hint"] == f"{DIFFERS}: pairctl restart"
    assert "another" not in stage.asks("invite", "work:ann")["error"]["hint"]
