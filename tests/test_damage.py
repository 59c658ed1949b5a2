"""Bits that flip in state.db and its WAL: no invitation ever becomes better for the guest by it."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairingd.core.events import End, Revoke, SetAccess, Tick
from pairingd.core.model import Access, Invitation, Standing, State
from pairingd.errors import PairingError
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.live import Live
from pairingd.state.store import Process, Store
from tests.core.make import START, invitation, invite, mapping

FLIPS = 3000
EACH = 500  # flips a test, so that several run at once
STEADY = 1000.0  # what the steady clock says: no time passes between the daemons
FILES = ("state.db", "state.db-wal")


class Prepared:
    """What a killed daemon has left: one guest live, who may only read now; one expired, one
    revoked, an older session.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        store = Store.open(home / "state.db", START)
        now = float(START)
        intent = Intent(store, lambda: now, Signals())
        intent.apply(invite(invitation("github:old"), session="s0"))
        intent.apply(End())
        live, short, out = (
            invitation("github:live"),
            invitation("github:short", ttl=60),
            invitation("github:out"),
        )
        intent.apply(invite(live, short, out, session="s1"))
        store.record(mapping())
        store.record_process(Process(4711, 12.5, "boot"))
        store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        now += 100
        intent.apply(Tick())
        intent.apply(Revoke((out.id,)))
        intent.apply(SetAccess(live.id, Access.READ))
        self.truth = {
            invited.id: invited for session in store.sessions() for invited in session.invitations
        }
        self.content = {name: (home / name).read_bytes() for name in FILES}
        self.marks = {path.name: path.stat() for path in (home / "live").iterdir()}
        self.now = now
        store.close()

    def damaged(self, place: Path, content: dict[str, bytes]) -> State | None:
        """What a daemon starts with. None: it does not start."""
        import os

        (place / "live").mkdir(parents=True)
        for name, status in self.marks.items():
            (place / "live" / name).touch()
            os.utime(place / "live" / name, (STEADY, status.st_mtime))
        for name, data in content.items():
            (place / name).write_bytes(data)
        try:
            store = Store.open(place / "state.db", self.now)
        except PairingError:
            return None
        store.live = Live(place / "live", lambda: STEADY)
        try:
            intent = Intent(store, lambda: self.now, Signals(), max_ttl=86400)
            store.sessions()
            store.history(0, 1000)
            return intent.state
        finally:
            store.close()

    def better(self, invited: Invitation) -> str:
        true = self.truth.get(invited.id)
        if true is None:
            return "an invitation nobody has made"
        if true.standing is not Standing.LIVE:
            return f"live although {true.standing}"
        if invited.expires_at > true.expires_at:
            return "a later deadline"
        if invited.access is Access.WRITE:
            return "more access"
        if invited.keys != true.keys or invited.guest != true.guest:
            return "another key or guest"
        return ""

    def holds(self, place: Path, content: dict[str, bytes], what: str) -> int:
        state = self.damaged(place, content)
        shutil.rmtree(place)
        for invited in state.live if state else ():
            assert not self.better(invited), f"{what}: {self.better(invited)}"
        return len(state.live) if state else -1


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: it is written a thousand times."""
    memory = Path("/dev/shm")
    own = tempfile.mkdtemp(prefix="pairing-", dir=memory if memory.is_dir() else tmp_path)
    yield Path(own) / "place"
    shutil.rmtree(own)


def test_the_live_invitation_of_an_undamaged_database_is_live(
    prepared: Prepared, place: Path
) -> None:
    assert prepared.holds(place, prepared.content, "undamaged") == 1


@pytest.mark.attack("waits for bits to flip in the host's state", "nothing is better for them")
@pytest.mark.parametrize("seed", range(FLIPS // EACH))
def test_no_flipped_bit_makes_an_invitation_better(
    prepared: Prepared, place: Path, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(EACH):
        name = chance.choice(FILES)
        content = bytearray(prepared.content[name])
        bits = [chance.randrange(len(content) * 8) for _ in range(chance.choice((1, 1, 1, 2, 8)))]
        for bit in bits:
            content[bit // 8] ^= 1 << bit % 8
        damaged = {**prepared.content, name: bytes(content)}
        if chance.random() < 0.2:
            del damaged["state.db-wal"]
        prepared.holds(place, damaged, f"bits {bits} of {name} with {sorted(damaged)}")


@pytest.mark.attack("waits for the host's disk to lose the last changes", "is out for good")
def test_no_shortened_wal_makes_an_invitation_better(prepared: Prepared, place: Path) -> None:
    wal = prepared.content["state.db-wal"]
    frames = range(32, len(wal), 24 + 4096)
    for length in (0, 1, *frames, *(at - 1 for at in frames[1:])):
        damaged = {**prepared.content, "state.db-wal": wal[:length]}
        prepared.holds(place, damaged, f"a WAL of {length} bytes")
    without = {"state.db": prepared.content["state.db"]}
    assert prepared.holds(place, without, "no WAL") == 1  # with the rights that the mark bounds
