"""What a daemon that starts makes of visits whose end the one before it has not written down."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import asdict

from pairingd.core.admission import Admission
from pairingd.core.durations import utc
from pairingd.core.events import Revoke, Tick
from pairingd.core.model import Cause
from pairingd.process.left_over import boot, start_time
from pairingd.reconcile.access.roster import Roster
from pairingd.reconcile.aside import Aside
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Process, Store
from pairingd.state.visits import Joined, Visit, visits
from pairingd.world.door import Door
from pairingd.world.sshd import Sshd
from pairingd.world.tmux import Tmux
from tests.core.make import START, invitation, invite

HOUR = 3600
ANN, BOB = invitation("github:ann", id="a1", ttl=HOUR), invitation("github:bob", id="b2", ttl=HOUR)


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = float(START)
        self.store: Store | None = None

    def start(self) -> Intent:
        """A daemon, after the one before has crashed."""
        if self.store:
            self.store.close()
        self.store = Store.open(self.path / "state.db", self.now)
        return Intent(self.store, lambda: self.now, Signals())

    def recovered(self) -> Visit:
        """Ann's visit, after another start."""
        intent = self.start()
        assert self.store
        sshd = Sshd("", self.path, self.path, self.path)
        door = Door(lambda: sshd, "127.0.0.1", lambda: self.now, Admission())
        tmux = Tmux("", self.path / "tmux.sock", "pairing")
        Roster(intent, self.store, tmux, door, Signals(), Aside()).recover()
        (visit,) = visits(self.store.history(0, 1000))
        return visit


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    if home.store:
        home.store.close()


@pytest.fixture
def crashes(home: Home) -> Callable[..., None]:
    """Ann comes in, something happens to her after 20 s, and the daemon dies 50 s later."""

    def crashes(*events: Revoke, pid: int = 2) -> None:
        intent = home.start()
        intent.apply(invite(ANN, BOB))
        joined = Joined("a1", "github:ann", "192.0.2.1", "SHA256:x", pid)
        intent.happened("joined", "github:ann joined", **asdict(joined))
        home.now += 20
        for event in events:
            intent.apply(event)
        home.now += 50
        intent.apply(Tick())

    return crashes


@pytest.mark.parametrize("later", [0, 10, 24 * HOUR])
def test_a_visit_ended_with_its_daemon_and_not_with_the_next_start(
    home: Home, crashes: Callable[..., None], later: float
) -> None:
    crashes()
    home.now += later
    visit = home.recovered()
    assert (visit.until, visit.why) == (START + 70, Cause.DAEMON_STOPPED)


def test_a_visit_ended_with_its_invitation_if_that_was_over_before_the_crash(
    home: Home, crashes: Callable[..., None]
) -> None:
    crashes(Revoke(("a1",)))
    home.now += HOUR // 2
    visit = home.recovered()
    assert (visit.until, visit.why) == (START + 20, Cause.REVOKED)


def test_a_visit_without_any_mark_ended_at_the_start_at_the_latest(
    home: Home, crashes: Callable[..., None]
) -> None:
    crashes()
    for mark in (home.path / "live").iterdir():
        mark.unlink()
    home.now += 10
    visit = home.recovered()
    assert (visit.until, visit.why) == (START + 80, Cause.DAEMON_STOPPED)


def test_a_visit_whose_connection_was_left_lasted_until_the_start(
    home: Home, crashes: Callable[..., None]
) -> None:
    with subprocess.Popen(["sleep", "3600"]) as left:
        crashes(pid=left.pid)
        started = start_time(left.pid)
        assert home.store
        assert started is not None
        home.store.record_process(Process(left.pid, started, boot(), START + 30))
        home.now += HOUR // 2
        visit = home.recovered()
    assert visit.typed_at == utc(START + 30)
    assert (visit.until, visit.why) == (START + 70 + HOUR // 2, Cause.DAEMON_STOPPED)
