"""What macOS's tools and nft print, as recorded or as their manuals have it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pairctl.services.launchd import LABEL
from pairingd.doctor import machine
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import State, Subject
from pairingd.doctor.machine import (
    application_firewall,
    drops_input,
    service,
    sleep_settings,
    ufw_is_on,
)
from pairingd.doctor.programs import refused_by_macos
from pairingd.home.config import Config, Settings

PYTHON = "/opt/homebrew/bin/python3.13"
ON = "Firewall is enabled. (State = 1) \n"
NOT_ALL = "Firewall has block all state set to disabled.\n"
APPS = """\
Total number of apps = 2
1 : /usr/libexec/remoted
             (Allow incoming connections)

2 : {path}
             ({rule} incoming connections)
"""


@pytest.mark.parametrize(
    ("state", "block_all", "apps", "expected"),
    [
        ("Firewall is disabled. (State = 0)\n", "", "", State.OK),
        (ON, NOT_ALL, APPS.format(path=PYTHON, rule="Allow"), State.OK),
        (ON, NOT_ALL, APPS.format(path=PYTHON, rule="Block"), State.FAIL),
        (ON, NOT_ALL, APPS.format(path="/bin/other", rule="Block"), State.WARN),
        (ON, "Firewall has block all state set to enabled.\n", "", State.FAIL),
        (ON, "Firewall is set to block all non-essential incoming connections\n", "", State.FAIL),
        ("Firewall is enabled. (State = 2)\n", "", "", State.FAIL),
        ("", "", "", State.WARN),
    ],
)
def test_the_application_firewall(state: str, block_all: str, apps: str, expected: State) -> None:
    finding = application_firewall(state, block_all, apps, PYTHON)
    assert finding.state is expected
    assert finding.hint or expected is State.OK


def test_a_blocked_python_is_named_in_the_hint() -> None:
    finding = application_firewall(ON, NOT_ALL, APPS.format(path=PYTHON, rule="Block"), PYTHON)
    assert finding.hint.endswith(f"--unblockapp {PYTHON}")


FRAMEWORK = "/opt/homebrew/Cellar/python@3.13/3.13.1/Frameworks/Python.framework/Versions/3.13"
BUNDLE = f"{FRAMEWORK}/Resources/Python.app"
IMAGE = f"{BUNDLE}/Contents/MacOS/Python"
STUB = f"{FRAMEWORK}/bin/python3.13"
SPLIT = ("/usr/libexec/sshd-session", "/usr/libexec/sshd-auth", "/usr/sbin/sshd")
SOCKETFILTERFW = "/usr/libexec/ApplicationFirewall/socketfilterfw"


def rules(**of: str) -> str:
    """As `socketfilterfw --listapps` prints them; the paths of one rule in one string."""
    lines = [(path, rule) for rule, paths in of.items() for path in paths.split(":")]
    return f"Total number of apps = {len(lines)} \n" + "".join(
        f"{number} : {path} \n             ({rule} incoming connections) \n\n"
        for number, (path, rule) in enumerate(lines, 1)
    )


@pytest.mark.parametrize(
    ("apps", "expected", "named"),
    [
        (rules(Block=BUNDLE), State.FAIL, [BUNDLE]),
        (rules(Block=IMAGE), State.FAIL, [IMAGE]),
        (rules(Allow=BUNDLE), State.OK, []),
        (rules(Allow=IMAGE), State.OK, []),
        (rules(Allow=STUB), State.WARN, [IMAGE]),  # which accepts nothing
        (rules(Block=STUB), State.WARN, [IMAGE]),
        (rules(Allow=BUNDLE, Block=SPLIT[0]), State.WARN, [SPLIT[0]]),
        (rules(Allow=IMAGE, Block=":".join(SPLIT)), State.WARN, [*SPLIT]),
        (rules(Block=SPLIT[1]), State.WARN, [SPLIT[1], IMAGE]),
        (rules(Block=f"{BUNDLE}:{SPLIT[0]}"), State.FAIL, [BUNDLE, SPLIT[0]]),
        (rules(Allow=f"{BUNDLE}:{':'.join(SPLIT)}"), State.OK, []),
        (rules(Allow=BUNDLE, Block="/opt/homebrew/opt/openssh/libexec/sshd-auth"), State.WARN,
         ["/opt/homebrew/opt/openssh/libexec/sshd-auth"]),
        (rules(Allow="/Applications/My App.app", Block=f"{BUNDLE}2"), State.WARN, [IMAGE]),
    ],
)  # fmt: skip
def test_the_firewall_s_rules_are_of_the_image_its_bundle_and_sshd(
    apps: str, expected: State, named: list[str]
) -> None:
    finding = application_firewall(ON, NOT_ALL, apps, IMAGE)
    assert finding.state is expected
    commands = re.findall(rf"sudo {SOCKETFILTERFW} (--\w+) (\S+?)(?:;|$)", finding.hint)
    assert [path for _, path in commands] == named
    assert all(option == ("--add" if path == IMAGE and IMAGE not in apps else "--unblockapp")
               for option, path in commands)  # fmt: skip


def test_a_rule_may_name_the_bundle_by_a_link(tmp_path: Path) -> None:
    image = tmp_path / "Cellar" / "3.13.1" / "Python.app" / "Contents" / "MacOS" / "Python"
    image.parent.mkdir(parents=True)
    image.touch()
    (tmp_path / "opt").symlink_to(tmp_path / "Cellar" / "3.13.1")
    apps = rules(Block=f"{tmp_path}/opt/Python.app")
    assert application_firewall(ON, NOT_ALL, apps, str(image)).state is State.FAIL


@pytest.mark.skipif(not Path("/proc/self/exe").exists(), reason="this system has no /proc")
def test_the_image_is_the_process_s_own() -> None:
    """And not the link, stub or script that sys.executable names."""
    assert Path(machine.image(0)).samefile("/proc/self/exe")
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            assert Path(machine.image(other.pid)).samefile(f"/proc/{other.pid}/exe")
        finally:
            other.kill()
    assert machine.image(other.pid) == machine.image(0), "it has ended"


def test_rules_that_are_not_shown_are_not_called_absent() -> None:
    finding = application_firewall(ON, NOT_ALL, "", IMAGE)
    assert finding.state is State.WARN
    assert "does not show its rules" in finding.message
    assert finding.hint.endswith(f"sudo {SOCKETFILTERFW} --listapps")


@pytest.mark.parametrize(
    ("ruleset", "drops"),
    [
        ("chain input {\n  type filter hook input priority filter; policy drop;\n}", True),
        ("chain input {\n  type filter hook input priority 0; policy accept;\n}", False),
        ("chain forward {\n  type filter hook forward priority 0; policy drop;\n}", False),
    ],
)
def test_only_an_input_chain_that_drops_is_reported(ruleset: str, drops: bool) -> None:
    assert drops_input(ruleset) is drops


@pytest.mark.parametrize(
    ("conf", "on"),
    [
        ("# ufw.conf\nENABLED=yes\n", True),
        ("ENABLED=yes\n", True),
        ('ENABLED="yes"\n', True),
        ("ENABLED=no\n", False),
        ("#ENABLED=yes\n", False),
    ],
)
def test_ufw_is_on_where_its_file_says_so(conf: str, on: bool) -> None:
    assert ufw_is_on(conf) is on


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is of Linux")
@pytest.mark.parametrize("config_home", ["", "relative"])
@pytest.mark.parametrize(
    ("script", "state", "message"),
    [
        ("echo active", State.OK, "systemd runs pairingd.service"),
        ("echo failed; exit 3", State.WARN, "pairingd.service is failed"),
        ("echo Failed to connect to bus: x >&2; exit 1", State.WARN, "systemd does not answer"),
    ],
)
async def test_the_unit_s_state_is_not_guessed(
    script: str,
    state: State,
    message: str,
    config_home: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    systemctl, unit = tmp_path / "systemctl", tmp_path / ".config/systemd/user/pairingd.service"
    systemctl.write_text(f"#!/bin/sh\n{script}\n")
    systemctl.chmod(0o755)
    unit.parent.mkdir(parents=True)
    unit.touch()
    for name, value in (("HOME", tmp_path), ("PATH", tmp_path), ("XDG_CONFIG_HOME", config_home)):
        monkeypatch.setenv(name, str(value))
    [finding] = [found async for found in service(Subject(None, Settings(Config(), ""), Daemon()))]
    assert (finding.state, message in finding.message) == (state, True)


async def test_an_agent_of_another_program_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    agents = tmp_path / "Library" / "LaunchAgents"
    agents.mkdir(parents=True)
    (agents / "com.example.pairing-helper.plist").touch()
    assert await machine._launchd() is None
    (agents / f"{LABEL}.plist").touch()
    finding = await machine._launchd()
    assert finding
    assert LABEL in finding.message


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("Currently in use:\n sleep                10 (sleep prevented by x)\n", "10 min"),
        ("Currently in use:\n displaysleep         5\n sleep                0\n", "not sleep"),
        ("System-wide:\n SleepDisabled        1\n sleep  1\n", "not sleep"),
        ("", "lid"),
    ],
)
def test_sleep_settings_report_when_a_mac_sleeps(output: str, expected: str) -> None:
    assert expected in sleep_settings(output).message


@pytest.mark.parametrize(
    ("version", "refused"),
    [("14.0", True), ("14.0.1", True), ("14", True), ("14.1", False), ("13.6", False), ("", False)],
)
def test_only_macos_versions_whose_sshd_ends_every_login_are_refused(
    version: str, refused: bool
) -> None:
    assert refused_by_macos(version) is refused
