"""What a daemon makes of the state that an earlier one has left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pairingd.core.durations import utc
from pairingd.core.events import DoorOpened, End, Event, Extend, Revoke, SetAccess, Tick
from pairingd.core.model import Access, Invitation, Standing, State
from pairingd.core.notices import LONG_ACCESS
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.errors import WorldError
from pairingd.signals import Signals
from pairingd.state.history import Happening
from pairingd.state.intent import Intent
from pairingd.state.live import Live
from pairingd.state.store import Store
from tests.core.make import START, invitation, invite

HOUR = 3600
ANN, BOB = invitation("github:ann", id="a1"), invitation("github:bob", id="b2", ttl=HOUR // 2)


class Home:
    """A daemon's state over several starts of it. `now` is its wall clock, in seconds; `passed`
    what the steady one has counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / "state.db"
        self.now = float(START)
        self.passed = 0.0
        self._stores: list[Store] = []

    def start(self, max_ttl: float = 24 * HOUR) -> Intent:
        self.stop()
        store = Store.open(self.path, self.now)
        store.live = Live(self.path.with_name("live"), lambda: 1000 + self.passed)
        self._stores.append(store)
        self.signals = Signals()
        return Intent(store, lambda: self.now, self.signals, max_ttl=max_ttl)

    def stop(self) -> None:
        while self._stores:
            self._stores.pop().close()

    def codes(self) -> list[str]:
        """Of the troubles in the history, which is what `pairctl log` shows."""
        return [event.data["code"] for event in self.history() if event.kind == "trouble"]

    def history(self) -> list[Happening]:
        return self._stores[-1].history(0, 1000)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Another one has the database locked, which a full disk is like for the store."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """No mark can be unlinked."""
        live = self.path.with_name("live")
        aside = live.with_name("elsewhere")
        live.rename(aside)
        live.touch()  # unlink(2) in it is ENOTDIR
        yield
        live.unlink()
        aside.rename(live)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.stop()


def standings(state: State) -> dict[str, Standing]:
    return {one.id: one.standing for one in state.session.invitations} if state.session else {}


def live(state: State) -> set[str]:
    return {one.id for one in state.live}


def test_live_invitations_are_live_after_a_start(home: Home) -> None:
    state = home.start().apply(invite(ANN, BOB))
    again = home.start()
    assert again.state == state
    assert again.withdrawn == ()
    assert home.codes() == []


@pytest.mark.attack("is revoked, ended or expires while the host's disk is full", "is out for good")
@pytest.mark.parametrize(
    ("event", "later"), [(Revoke(("a1", "b2")), 0), (End(), 0), (Tick(), HOUR + 1)]
)
def test_invitations_that_ended_on_a_full_disk_are_over_after_a_start(
    home: Home, event: Event, later: float
) -> None:
    intent = home.start()
    intent.apply(invite(ANN, BOB))
    home.now += later
    with home.full():
        assert live(intent.apply(event)) == set()
        assert intent.unsaved
        assert intent.unsaved.code == "state-unwritable"
        assert intent.unsaved.message.startswith("the change holds for good")
    home.now -= later  # else the deadline alone would do
    again = home.start()
    assert live(again.state) == set()
    assert [one.code for one in again.withdrawn] == ["state-outdated"]
    assert home.codes() == ["state-outdated"]
    assert "github:ann, github:bob" in again.withdrawn[0].message


def test_only_the_revoked_invitation_is_over_after_a_start(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN, BOB))
    with home.full():
        intent.apply(Revoke(("a1",)))
    again = home.start()
    assert standings(again.state) == {"a1": Standing.REVOKED, "b2": Standing.LIVE}
    assert standings(home.start().state) == standings(again.state)


def test_a_mark_of_former_rights_that_a_killed_daemon_left_is_gone_after_a_start(
    home: Home,
) -> None:
    """The guests' forced commands would read a former deadline in its name."""
    home.start().apply(invite(ANN))
    marks = home.path.with_name("live")
    [former] = marks.iterdir()
    home.start().apply(Extend(ANN.id, ANN.expires_at + HOUR, 24 * HOUR))
    [present] = marks.iterdir()
    former.touch()  # as before the last step of the extension
    assert live(home.start().state) == {ANN.id}
    assert [*marks.iterdir()] == [present]


def test_a_revocation_on_a_full_disk_is_saved_at_the_next_tick(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    with home.full():
        intent.apply(Revoke(("a1",)))
    intent.apply(Tick())
    assert intent.unsaved is None
    again = home.start()
    assert standings(again.state) == {"a1": Standing.REVOKED}
    assert again.withdrawn == ()


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (invite(BOB, invitation("github:cy", id="c3")), 2),
        (SetAccess("a1", Access.READ), 1),
        (Extend("a1", START + 2 * HOUR, 24 * HOUR), 1),
        (Revoke(("a1", "d4")), 3),
        (End(), 3),
    ],
)
def test_a_change_and_its_history_are_one_transaction(home: Home, event: Event, lines: int) -> None:
    intent = home.start()
    intent.apply(invite(ANN, invitation("github:di", id="d4")))
    known, statements = len(home.history()), list[str]()
    intent._store._database.set_trace_callback(statements.append)
    intent.apply(event)
    intent._store._database.set_trace_callback(None)
    assert statements.count("COMMIT") == 1
    assert len(home.history()) == known + lines


def test_no_line_is_lost_of_a_change_of_many_invitations(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(*(invitation(f"github:g{number}") for number in range(1001))))
    intent.apply(End())
    session = intent.state.session
    assert session
    kinds = [line.kind for line in home._stores[-1].history_of(session.id)]
    assert kinds == ["invited"] * 1001 + ["ended"] * 1001 + ["session-ended"]


def test_history_that_a_full_disk_has_refused_is_written_later_with_its_time(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN, BOB))
    news = intent.listen()
    with home.full():
        intent.apply(Revoke(("a1",)))
        with intent.together():
            intent.happened("left", "github:ann is out")
            intent.happened("door-closed", "the door is closed")
        assert news.empty()
        home.now += 60
    intent.apply(Tick())
    assert intent.unsaved is None
    kinds = [(line.kind, line.at) for line in home.history()][-3:]
    assert kinds == [("revoked", START), ("left", START), ("door-closed", START)]
    assert [news.get_nowait() for _ in kinds] == home.history()[-3:]


def test_history_that_alone_was_refused_is_unsaved_until_it_is_written(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    pokes: list[str] = []
    home.signals.wishes_changed.connect(lambda: pokes.append("poked"))
    with home.full():
        intent.happened("left", "github:ann is out")
        intent.happened("door-closed", "the door is closed")
        assert intent.unsaved
        assert intent.unsaved.code == "state-unwritable"
        assert pokes == ["poked"]
    intent.apply(Tick())
    assert intent.unsaved is None
    assert home.history()[-1].kind == "door-closed"


def test_a_line_that_cannot_be_stored_keeps_no_other_out_of_the_history(home: Home) -> None:
    intent = home.start()
    with pytest.raises(TypeError):
        intent.happened("left", "github:ann is out", defect=object())
    intent.happened("door-closed", "the door is closed")
    assert [line.kind for line in home.history()] == ["door-closed"]


def test_a_revocation_neither_saved_nor_unmarked_is_reported_as_not_durable(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    with home.full(), home.stuck():
        assert live(intent.apply(Revoke(("a1",)))) == set()
        assert intent.unsaved
        assert intent.unsaved.code == "not-durable"
        assert "only while this pairingd runs" in intent.unsaved.message
    with home.full():
        intent.apply(Tick())  # the mark can be unlinked again, and the state not yet saved
        assert intent.unsaved.code == "state-unwritable"
    assert live(home.start().state) == set()


@pytest.mark.attack("has their rights reduced while the host's disk is full", "they stay reduced")
@pytest.mark.parametrize(
    ("event", "left"),
    [
        (SetAccess("a1", Access.READ), replace(ANN, access=Access.READ)),
        (Extend("a1", START + 60, 86400), replace(ANN, expires_at=START + 60)),
    ],
    ids=["role", "extend"],
)
def test_reduced_rights_stay_reduced_after_a_start(
    home: Home, event: Event, left: Invitation
) -> None:
    intent = home.start()
    intent.apply(invite(ANN, BOB))
    with home.full():
        assert intent.apply(event).live == (left, BOB)
        assert intent.unsaved
        assert intent.unsaved.code == "state-unwritable"
        assert intent.unsaved.message.startswith("the change holds for good")
        home.stop()
    again = home.start()
    assert again.state.live == (left, BOB)
    [why] = again.withdrawn
    assert why.code == "state-outdated"
    assert f"github:ann: {LONG_ACCESS[left.access]} until" in why.message
    assert "github:bob" not in why.message
    last = home.start()
    assert last.state.live == (left, BOB)
    assert last.withdrawn == ()


def test_a_moved_deadline_is_in_the_history_in_utc(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    events = intent.listen()
    intent.apply(Extend("a1", START + 2 * HOUR, 24 * HOUR))
    event = events.get_nowait()
    assert event
    assert event.text.endswith(f"longer, until {utc(START + 2 * HOUR)}")


def test_reduced_rights_can_be_reduced_further_and_are_restored_only_once_saved(
    home: Home,
) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    with home.full():
        intent.apply(SetAccess("a1", Access.READ))
        [left] = intent.apply(Extend("a1", START + 60, 86400)).live
        with pytest.raises(WorldError):
            intent.apply(SetAccess("a1", Access.WRITE))
        assert intent.state.live == (left,)
    assert home.start().state.live == (left,)
    assert home.start().apply(SetAccess("a1", Access.WRITE)).live != (left,)
    assert home.start().state.live == (replace(left, access=Access.WRITE),)


@pytest.mark.parametrize("event", [invite(BOB), Extend("a1", START + 7200, 86400)])
def test_an_event_that_gives_rights_is_refused_whole_if_it_cannot_be_saved(
    home: Home, event: Event
) -> None:
    intent = home.start()
    before = intent.apply(invite(ANN))
    with home.full(), pytest.raises(WorldError) as caught:
        intent.apply(event)
    assert caught.value.code == "state-unwritable"
    assert intent.state == before
    assert home.start().state == before


def test_an_invitation_that_gets_no_mark_is_refused_whole(home: Home) -> None:
    intent = home.start()
    home.path.with_name("live").touch()
    with pytest.raises(WorldError) as caught:
        intent.apply(invite(ANN, BOB))
    assert caught.value.code == "state-unwritable"
    assert intent.state == State()
    assert home.start().state == State()


def copies(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.path.parent.glob("state.db*")}


@pytest.mark.attack("waits for the host's disk to lose the last changes", "is out for good")
@pytest.mark.parametrize(
    "event",
    [
        Revoke(("a1",)),
        End(),
        SetAccess("a1", Access.READ),
        Extend("a1", START + 60, 86400),
    ],
)
@pytest.mark.parametrize("damage", ["removed", "cut", "zeroed", "restored"])
def test_a_change_that_was_saved_and_lost_revives_nothing(
    home: Home, event: Event, damage: str
) -> None:
    """The WAL holds the last changes until it is copied into the database."""
    home.start().apply(invite(ANN))
    intent = home.start()
    intent.apply(DoorOpened(40000))
    old = copies(home)
    after = intent.apply(event)
    new = copies(home)
    home.stop()
    for name, content in new.items():
        home.path.with_name(name).write_bytes(content)
    wal = home.path.with_name("state.db-wal")
    match damage:
        case "removed":
            wal.unlink()
        case "cut":
            wal.write_bytes(new["state.db-wal"][: len(old["state.db-wal"]) + 100])
        case "zeroed":
            wal.write_bytes(bytes(len(new["state.db-wal"])))
        case "restored":
            wal.unlink()
            home.path.write_bytes(old["state.db"])
    again = home.start()
    assert again.state.live == after.live
    assert [one.code for one in again.withdrawn] == ["state-outdated"]


@pytest.mark.attack("waits for the host's clock to be set back", "nobody is live")
@pytest.mark.parametrize("back", [2.0, 60.0, HOUR, 365 * 24 * HOUR])
def test_a_start_with_the_clock_behind_ends_every_invitation(home: Home, back: float) -> None:
    intent = home.start()
    intent.apply(invite(ANN, BOB))
    home.now += HOUR // 2 - 1
    intent.apply(Tick())
    home.now -= back
    again = home.start()
    assert standings(again.state) == {"a1": Standing.ENDED, "b2": Standing.ENDED}
    [why] = again.withdrawn
    assert why.code == "clock-behind"
    assert "2027-01-15T08:29:59Z already" in why.message
    assert home.codes() == ["clock-behind"]
    home.now += back
    assert live(home.start().state) == set()


@pytest.mark.attack("waits for the host's clock to be set back", "nobody is live")
def test_a_clock_set_back_by_no_more_than_the_last_pause_is_noticed_too(home: Home) -> None:
    """The time is kept at each pass, and there may be none for 15 s."""
    home.start().apply(invite(ANN))
    home.passed += 14
    home.now += 3
    assert [one.code for one in home.start().withdrawn] == ["clock-behind"]


def test_an_invitation_past_its_deadline_by_the_latest_time_seen_has_expired(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN, BOB))
    home.now += 10
    intent.apply(Tick())
    home.passed += HOUR * 0.75
    home.now -= HOUR
    assert standings(home.start().state) == {"a1": Standing.ENDED, "b2": Standing.EXPIRED}


def test_a_clock_set_right_by_less_than_a_second_ends_nothing(home: Home) -> None:
    home.start().apply(invite(ANN))
    home.now -= 0.9
    assert live(home.start().state) == {"a1"}


def test_the_clock_may_go_back_while_no_invitation_was_live(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    intent.apply(End())
    home.now -= 24 * HOUR
    again = home.start()
    assert again.withdrawn == ()
    again.apply(invite(replace(BOB, issued_at=int(home.now), expires_at=int(home.now) + 60)))
    assert live(home.start().state) == {"b2"}


def test_no_deadline_is_further_ahead_than_one_that_could_be_given_now(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN, BOB))
    again = home.start(max_ttl=HOUR * 0.75)
    deadlines = {one.id: one.expires_at for one in again.state.live}
    assert deadlines == {"a1": START + HOUR * 3 // 4, "b2": BOB.expires_at}
    assert home.start().state == again.state


@pytest.mark.parametrize("unlink", [True, False])
def test_a_mark_without_its_invitation_is_of_no_use(home: Home, unlink: bool) -> None:
    """A daemon was killed between the mark and the state."""
    intent = home.start()
    marks: Callable[[], list[str]] = lambda: [  # noqa: E731
        one.name for one in home.path.with_name("live").iterdir()
    ]
    with intent._store.live.made([ANN]):
        assert marks()
        if unlink:
            Store.open(home.path, START).close()
            assert marks() == []
    again = home.start()
    assert again.state == State()
    assert marks() == []


def test_an_open_door_that_cannot_be_saved_ends_no_invitation(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    with home.full(), pytest.raises(WorldError):
        intent.apply(DoorOpened(40000))
    assert live(home.start().state) == {"a1"}


def test_an_invitation_that_is_over_at_the_start_cannot_be_revived(home: Home) -> None:
    intent = home.start()
    intent.apply(invite(ANN))
    with home.full():
        intent.apply(Revoke(("a1",)))
    again = home.start()
    for event in (Extend("a1", START + 60, 86400), SetAccess("a1", Access.WRITE)):
        with pytest.raises(Refused):
            again.apply(event)
