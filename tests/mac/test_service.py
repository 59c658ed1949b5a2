"""The LaunchAgent through its whole life."""

from __future__ import annotations

from tests.e2e.network import until
from tests.mac.machine import LABEL, Mac


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

    mac.kill(third)
    until("launchd has started it again", lambda: mac.pid() not in {0, third})

    for _ in range(2):
        mac.pairctl("uninstall")
        assert mac.launchctl("print", target) == 113
        assert mac.left() == []
