"""What macOS's tools and nft print, as recorded or as their manuals have it."""

from __future__ import annotations

import pytest

from pairingd.doctor.finding import State
from pairingd.doctor.machine import application_firewall, drops_input, sleep_settings
from pairingd.doctor.programs import refused_by_macos

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
    found = application_firewall(state, block_all, apps, PYTHON)
    assert found.state is expected
    assert found.hint or expected is State.OK


def test_a_blocked_python_is_named_in_the_mend() -> None:
    found = application_firewall(ON, NOT_ALL, APPS.format(path=PYTHON, rule="Block"), PYTHON)
    assert found.hint.endswith(f"--unblockapp {PYTHON}")


@pytest.mark.parametrize(
    ("ruleset", "drops"),
    [
        ("chain input {\n  type filter hook input priority filter; policy drop;\n}", True),
        ("chain input {\n  type filter hook input priority 0; policy accept;\n}", False),
        ("chain forward {\n  type filter hook forward priority 0; policy drop;\n}", False),
    ],
)
def test_only_a_chain_that_drops_input_stands_before_the_door(ruleset: str, drops: bool) -> None:
    assert drops_input(ruleset) is drops


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Currently in use:\n sleep                10 (sleep prevented by x)\n", "10 min"),
        ("Currently in use:\n displaysleep         5\n sleep                0\n", "not sleep"),
        ("System-wide:\n SleepDisabled        1\n sleep  1\n", "not sleep"),
        ("", "lid"),
    ],
)
def test_when_a_mac_sleeps(said: str, told: str) -> None:
    assert told in sleep_settings(said).message


@pytest.mark.parametrize(
    ("version", "refused"),
    [("14.0", True), ("14.0.1", True), ("14", True), ("14.1", False), ("13.6", False), ("", False)],
)
def test_the_one_macos_whose_sshd_ends_every_login(version: str, refused: bool) -> None:
    assert refused_by_macos(version) is refused
