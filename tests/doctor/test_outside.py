"""`pairctl doctor --outside` with a checker that cannot be asked. tests/e2e has the others."""

from __future__ import annotations

from pathlib import Path

from pairingd.doctor import outside
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import State, Subject
from pairingd.home import config
from tests.fakes.daemon import FakeDaemon
from tests.loopback import UNKNOWN_NAME

OPEN = {
    "door": {"open": True},
    "endpoints": [{"kind": "router", "host": "5.5.5.5", "port": 22}],
}


async def test_a_checker_whose_name_leads_nowhere_is_reported_as_that(short_path: Path) -> None:
    socket = short_path / "pairingd.sock"
    with FakeDaemon(socket, {"arrivals": {"count": 0}}):
        daemon = Daemon(connected=True, socket=str(socket), status=OPEN)
        settings = config.Settings(config.Config(), "")
        subject = Subject(None, settings, daemon, outside=f"http://{UNKNOWN_NAME}/{{port}}")
        [found] = [one async for one in outside.check(subject, arrival_timeout_s=0.0)]
    assert found.state is State.WARN
    assert found.message.endswith(" cannot be asked: its name could not be resolved")
