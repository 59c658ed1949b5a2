"""The LaunchAgent through its whole life."""

from __future__ import annotations

import pytest

from tests.e2e.network import Network, until
from tests.e2e.people import Guest, speaks
from tests.mac.machine import LABEL, Mac


@pytest.mark.waits
def test_install_restart_kill_and_uninstall(mac: Mac) -> None:
    target = f"gui/{mac.uid}/{LABEL}"
    mac.pairctl("install")
    first = mac.pid()
    assert first
    mac.pairctl("install")
    assert mac.pid() == first

    mac.pairctl("restart")
    second = mac.pid()
    assert second not in {0, first}

    mac.pairctl("stop")
    assert mac.launchctl("print", target) == 113
    assert not mac.pid()
    mac.pairctl("start")
    third = mac.pid()
    assert mac.launchctl("print", target) == 0
    beside = mac.place.run("pairingd", "--detach", check=False)
    assert beside.returncode == 4
    assert f"running already (pid {third})" in beside.stderr

    mac.kill(third)
    until("launchd has started it again", lambda: mac.pid() not in {0, third})

    for _ in range(2):
        mac.pairctl("uninstall")
        assert mac.launchctl("print", target) == 113
        assert mac.left() == []
    # The one thing that stays, and that docs/macos.md names: it says that a Mac's user allows it.
    overrides = mac.place.run("launchctl", "print-disabled", f"gui/{mac.uid}").stdout
    assert f'"{LABEL}" => enabled' in overrides


def test_a_killed_daemon_takes_its_guest_along_and_starts_again(mac: Mac, network: Network) -> None:
    octocat = Guest(network, "octocat")
    mac.configure()
    mac.pairctl("install")
    mac.pairctl("invite", "octocat", "--no-copy")
    until("the router forwards", network.forwards)
    command = mac.asks("invite", "--show", "octocat", "--no-copy")["command"]
    screen = octocat.joins(command)
    speaks(screen, "before-the-end", screen)

    daemon = mac.pid()
    mac.kill(daemon)
    screen.ends()
    until("it may sleep", lambda: not mac.assertions().count("PreventUserIdleSystemSleep"))
    until("launchd has started it again", lambda: mac.pid() not in {0, daemon})
    until("the router forwards", network.forwards)
    again = octocat.joins(command)
    again.shows("before-the-end")


def test_a_daemon_that_cannot_start_says_why_and_is_not_started_in_a_loop(mac: Mac) -> None:
    mac.configure("[dor]\n")
    failed = mac.pairctl("install", check=False)
    assert failed.returncode != 0
    assert "unknown key dor" in failed.stderr
    mac.configure()
    mac.pairctl("start")
    assert mac.pid()
