"""scripts/check-on-a-mac, as the first person on a Mac runs it."""

from __future__ import annotations

import pytest

from tests.e2e.network import REPOSITORY
from tests.mac.machine import Mac


@pytest.mark.waits
@pytest.mark.timeout(1500)  # seconds: it installs everything, and plays a whole session
def test_the_check_passes_and_leaves_only_its_report(mac: Mac) -> None:
    before = sorted(mac.path("/private/tmp").iterdir())
    done = mac.place.run(
        *("/bin/bash", f"{REPOSITORY}/scripts/check-on-a-mac", "--yes"), check=False, within=1200
    )
    report = mac.read(f"{mac.home}/pairing-on-a-mac.txt")
    assert done.returncode == 0, report
    assert "FAIL" not in report
    assert "ok    launchd has started it again" in report
    assert "peer's uid" in report
    assert "peer has hung up [False, False, True]" in report
    assert "reset: None Invalid argument True expected: None Invalid argument True" in report
    assert "reader has gone [False, True]" in report
    assert "Box       /private/tmp/pairing-check." in report
    assert "-- from launchd\nUDP connect to the router ok" in report
    assert mac.left() == ["pairing-on-a-mac.txt"] or mac.left() == []
    left = {path.name for path in mac.path("/private/tmp").iterdir()}
    known = {path.name for path in before} | {"assertions", "pasteboard", "notifications"}
    assert left - known == {name for name in left - known if name.startswith("tmux-")}


def test_the_check_changes_nothing_if_pairing_is_in_use(mac: Mac) -> None:
    mac.configure()
    done = mac.place.run("/bin/bash", f"{REPOSITORY}/scripts/check-on-a-mac", "--yes", check=False)
    assert done.returncode == 100
    assert "there already" in done.stderr
    assert mac.read(f"{mac.support}/config.toml")
