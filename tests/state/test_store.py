from __future__ import annotations

import asyncio
import errno
import itertools
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from pairingd.core.events import CommandPrinted, End, SetAccess
from pairingd.core.model import Access, HostPort, State
from pairingd.core.records import replace
from pairingd.core.rules import step
from pairingd.errors import FAILING_DISK, Misconfigured, WorldError, remedy
from pairingd.replies import answers
from pairingd.state.live import Live
from pairingd.state.rows import checksum_of
from pairingd.state.schema import MIGRATIONS, TABLES
from pairingd.state.store import Process, Store
from tests.core.make import START, invitation, invite, mapping

INVITED = step(State(), invite(invitation(), invitation("gitlab:mona")), START)


KEYS = {
    "session": "id, invitations",
    "invitation": "session, number",
    "mapping": "id",
    "process": "pid",
}


def change(path: Path, statement: str, *parameters: object, seal: bool = False) -> None:
    """Behind the store's back. `seal`: with the checksums that the store would have written."""
    with closing(sqlite3.connect(path)) as database, database:
        database.create_function("checksum_of", -1, checksum_of)
        database.execute(statement, parameters)
        if seal:
            for table, key in KEYS.items():
                database.execute(
                    f"UPDATE {table} SET checksum = checksum_of('{table}', {key}, body)"
                )


# sqlite.org/pragma.html: 2 is FULL; the last is macOS's F_FULLFSYNC.
SETTINGS = ("journal_mode", "synchronous", "fullfsync")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def reopen(path: Path) -> Iterator[Callable[[], Store]]:
    stores: list[Store] = []

    def open_store() -> Store:
        stores.append(Store.open(path, START))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def test_the_saved_state_is_read_after_a_new_start(reopen: Callable[[], Store]) -> None:
    store = reopen()
    store.save(INVITED)
    store.close()
    assert reopen().state() == INVITED


@pytest.fixture
async def turns() -> AsyncIterator[Callable[[], int]]:
    """How often another task has had its turn."""
    taken = 0

    async def works() -> None:
        nonlocal taken
        while True:
            taken += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(works())
    yield lambda: taken
    beside.cancel()


async def test_other_work_goes_on_while_past_sessions_are_read(
    reopen: Callable[[], Store], turns: Callable[[], int]
) -> None:
    store = reopen()
    assert INVITED.session
    for number in range(9):
        store.save(replace(INVITED, session=replace(INVITED.session, id=f"s{number}")))
    seen = [(session.id, turns()) async for session in answers.sessions(store)]
    assert [id_ for id_, _ in seen] == [f"s{number}" for number in reversed(range(9))]
    assert [before for _, before in seen] == sorted({before for _, before in seen})


async def test_other_work_goes_on_while_a_large_session_and_its_history_are_read(
    reopen: Callable[[], Store], turns: Callable[[], int]
) -> None:
    store = reopen()
    state = step(State(), invite(*(invitation(f"github:g{n}") for n in range(300))), START)
    store.save(state, [(START, "s1", "left", f"{n}", {}) for n in range(300)])
    assert state.session
    read = await answers.stored_session(store, state.session.id)
    assert read == store.session(state.session.id) == state.session
    after = turns()
    assert after > 3
    lines = [line.text async for line in answers.paced(store.unread_history(0, 1000))]
    assert lines == [f"{n}" for n in range(300)]
    assert turns() > after + 3


def test_a_change_of_one_invitation_writes_one_of_their_rows(reopen: Callable[[], Store]) -> None:
    store = reopen()
    guests = [invitation(f"github:guest{number}") for number in range(50)]
    state = step(State(), invite(*guests), START)
    store.save(state)
    for access in (Access.READ, Access.WRITE):
        before = store._database.total_changes
        state = step(state, SetAccess(guests[7].id, access), START)
        store.save(state)
        assert store._database.total_changes - before == 2  # the invitation's, and the session's
    assert reopen().state() == state


def test_what_a_failed_save_did_not_write_the_next_one_writes(
    reopen: Callable[[], Store], path: Path
) -> None:
    store = reopen()
    store.save(INVITED)
    less = step(INVITED, SetAccess(INVITED.live[0].id, Access.READ), START)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(WorldError):
        store.save(less)
    other.execute("ROLLBACK")
    other.close()
    store.save(less)
    assert reopen().state() == less


def test_the_announced_endpoint_is_read_after_a_new_start(
    reopen: Callable[[], Store],
) -> None:
    announced = step(INVITED, CommandPrinted(HostPort("5.5.5.1", 22)), START)
    reopen().save(announced)
    assert reopen().state() == announced


def test_a_commit_waits_for_the_disk(reopen: Callable[[], Store]) -> None:
    database = reopen()._database
    settings = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in SETTINGS]
    assert settings == ["wal", 2, 1]


def test_the_saved_state_is_read_after_kill_9(reopen: Callable[[], Store]) -> None:
    """Another connection sees it at once: nothing waits for a close that may never come."""
    reopen().save(INVITED)
    assert reopen().state() == INVITED


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.save(INVITED),
        lambda store: store.record(mapping()),
        lambda store: store.erase("m"),
        lambda store: store.record_process(Process(1, 1.0)),
        lambda store: store.happened(START, None, "invited", "", {}),
    ],
)
def test_a_failed_write_is_the_error_state_unwritable(
    reopen: Callable[[], Store], path: Path, write: Callable[[Store], object]
) -> None:
    store = reopen()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(WorldError) as caught:
        write(store)
    assert caught.value.code == "state-unwritable"
    assert "end the program" in caught.value.hint
    other.execute("ROLLBACK")
    other.close()
    write(store)


def test_a_record_with_unknown_keys_of_a_later_version_is_read(
    reopen: Callable[[], Store], path: Path
) -> None:
    store = reopen()
    store.save(INVITED)
    store.record(mapping())
    store.close()
    for table in ("session", "invitation"):
        change(path, f"UPDATE {table} SET body = json_set(body, '$.later', 1)", seal=True)
    change(path, "UPDATE mapping SET body = json_set(body, '$.later', 1)", seal=True)
    again = reopen()
    assert again.set_aside is None
    assert again.state() == INVITED
    assert again.mappings() == [mapping()]


def test_a_new_store_has_an_empty_state(reopen: Callable[[], Store]) -> None:
    assert reopen().state() == State()


def test_the_last_session_is_the_state_and_the_older_ones_are_kept(
    reopen: Callable[[], Store],
) -> None:
    store = reopen()
    over = step(INVITED, End(), START + 1)
    again = step(over, invite(session="s2"), START + 2)
    for state in (INVITED, over, again):
        store.save(state)
    assert store.state() == again
    assert [session.id for session in store.sessions()] == ["s1", "s2"]
    assert store.sessions()[0] == over.session
    assert store.session("s1") == over.session
    assert store.session("s3") is None
    assert store.session_ids(5) == ["s1", "s2"]
    assert store.session_ids(1) == ["s2"]


def test_the_journal_keeps_a_mapping_until_it_is_erased(reopen: Callable[[], Store]) -> None:
    store = reopen()
    asked = mapping(granted_until=None, renew_at=None)
    store.record(asked)
    store.record(mapping())
    assert reopen().mappings() == [mapping()]
    store.erase("m1")
    assert store.mappings() == []


def test_the_journal_keeps_a_process_until_it_is_erased(reopen: Callable[[], Store]) -> None:
    store = reopen()
    store.record_process(Process(4711, 12.5))
    assert reopen().processes() == [Process(4711, 12.5)]
    store.forget_processes(4711)
    assert store.processes() == []


def test_history_is_read_newest_last_and_from_an_event_on(reopen: Callable[[], Store]) -> None:
    store = reopen()
    numbers = [store.happened(START + n, "s1", "joined", f"{n}", {"n": n}).id for n in range(5)]
    assert [event.text for event in store.history(0, 3)] == ["2", "3", "4"]
    assert [event.data for event in store.history(numbers[3], 10)] == [{"n": 4}]
    assert len(store.history_of("s1")) == 5
    assert store.history_of("s2") == []


@pytest.mark.parametrize("together", [False, True])
def test_events_caused_by_strangers_do_not_push_out_joins(
    reopen: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    monkeypatch.setattr("pairingd.state.history.KEPT_EVENTS", 3)
    store = reopen()
    store.happened(START, "s1", "joined", "octocat", {})
    with store.together() if together else nullcontext():
        for n in range(10):
            store.happened(START + n, "s1", "refused", str(n), {})
    kept = [(event.kind, event.text) for event in store.history(0, 100)]
    assert kept == [("joined", "octocat"), ("refused", "7"), ("refused", "8"), ("refused", "9")]


@pytest.mark.attack(
    "a guest comes and goes until the history is full", "no other visit of theirs or others is lost"
)
@pytest.mark.parametrize("together", [False, True])
def test_one_who_comes_again_and_again_pushes_out_their_own_events_alone(
    reopen: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    monkeypatch.setattr("pairingd.state.history.KEPT_EVENTS", 5)
    store = reopen()
    visits = [("s1", "i1", "5.5.5.2"), ("s2", "i2", "5.5.5.3"), ("s2", "i3", "5.5.5.2")]
    visits += [("s2", "i2", "5.5.5.9")] * 10
    with store.together() if together else nullcontext():
        for n, (session, invitation, peer) in enumerate(visits):
            data = {"invitation": invitation, "peer": peer}
            store.happened(START + n, session, "joined", "", data)
    kept = [int(event.at - START) for event in store.history(0, 100)]
    assert kept == [0, 1, 2, 11, 12]


@pytest.mark.parametrize("content", [b"", b"this is not a database" * 100, b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_set_aside_or_overwritten(
    path: Path, reopen: Callable[[], Store], content: bytes
) -> None:
    path.write_bytes(content)
    store = reopen()
    assert store.state() == State()
    if store.set_aside:
        assert store.set_aside.read_bytes() == content


def test_a_file_that_is_no_database_stays_if_no_database_can_be_made(
    path: Path, reopen: Callable[[], Store]
) -> None:
    path.write_bytes(content := b"this is not a database" * 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(Misconfigured) as caught:
            reopen()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code == "state-unusable"
    assert [file.read_bytes() for file in path.parent.iterdir()] == [content]
    assert reopen().set_aside


def test_a_damaged_database_is_set_aside_whole(path: Path, reopen: Callable[[], Store]) -> None:
    store = reopen()
    for _ in range(50):
        store.happened(START, None, "x", "y" * 500, {})
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\xff" * 8192
    path.write_bytes(content)
    reopened = reopen()
    assert reopened.set_aside is not None
    assert reopened.set_aside.read_bytes() == content
    assert reopened.state() == State()


@pytest.mark.parametrize("body", ["{}", "not json", '{"id": 7}', b"{\xff}", "[" * 10000])
def test_a_database_with_an_unreadable_state_is_set_aside(
    path: Path, reopen: Callable[[], Store], body: str | bytes
) -> None:
    store = reopen()
    store.save(INVITED)
    store.close()
    change(path, "UPDATE session SET body = CAST(? AS TEXT)", body, seal=isinstance(body, str))
    reopened = reopen()
    assert reopened.set_aside is not None
    assert reopened.state() == State()


@pytest.mark.attack("waits for the host's disk to lose a field of a record", "nobody is live")
def test_an_invitation_without_its_standing_is_not_live(
    path: Path, reopen: Callable[[], Store]
) -> None:
    store = reopen()
    store.save(step(INVITED, End(), START))
    store.close()
    change(
        path,
        "UPDATE invitation SET body = json_remove(body, '$.standing') WHERE number = 0",
        seal=True,
    )
    assert reopen().state().live == ()


EXCHANGED = """
    UPDATE invitation SET number = 7 WHERE session = 's2' AND number = 0;
    UPDATE invitation SET number = 0 WHERE session = 's2' AND number = 1;
    UPDATE invitation SET number = 1 WHERE session = 's2' AND number = 7;
"""
SWAPPED = "UPDATE session SET body = (SELECT body FROM session WHERE id = 's1') WHERE id = 's2'"


@pytest.mark.attack("waits for the host's disk to damage a record", "nobody is live")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE invitation SET body = replace(body, '1800003600', '1900003600')",
        "UPDATE invitation SET body = replace(body, 'write', 'read')",
        "UPDATE invitation SET body = replace(body, 'blob-github', 'glob-github')",
        "UPDATE invitation SET session = 's4' WHERE session = 's2'",
        "UPDATE invitation SET number = number + 1 WHERE session = 's2'",
        "UPDATE invitation SET body = 5",
        "DELETE FROM invitation WHERE session = 's2' AND number = 0",
        "DELETE FROM invitation WHERE session = 's1' AND number = 1",
        EXCHANGED,
        "UPDATE session SET invitations = 2 WHERE id = 's2'",
        "UPDATE session SET body = replace(body, '1800000000', '1900000000')",
        "UPDATE session SET id = 's4' WHERE id = 's2'",
        "UPDATE session SET body = 5",
        "UPDATE session SET checksum = ''",
        "UPDATE session SET checksum = NULL",
        SWAPPED,
        f"{SWAPPED}; UPDATE session SET checksum = (SELECT checksum FROM session WHERE id = 's1')",
        "UPDATE mapping SET body = replace(body, '40000', '40001')",
        "UPDATE process SET body = replace(body, '4711', '4712')",
        "UPDATE process SET pid = 4712",
    ],
)
def test_a_record_changed_on_disk_leaves_no_invitation_live(
    path: Path, reopen: Callable[[], Store], statement: str
) -> None:
    store = reopen()
    store.save(step(INVITED, End(), START))
    store.save(step(step(INVITED, End(), START), invite(session="s2"), START))
    store.record(mapping())
    store.record_process(Process(4711, 12.5))
    store.close()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(statement.replace("checksum = NULL", "checksum = x'00'"))
    reopened = reopen()
    assert reopened.set_aside is not None
    assert reopened.state() == State()


def test_the_readable_entries_of_a_damaged_journal_are_kept(
    path: Path, reopen: Callable[[], Store]
) -> None:
    """It only closes things, and nothing else knows of them."""
    store = reopen()
    store.save(INVITED)
    for name in ("m1", "m2", "m3"):
        store.record(mapping(id=name))
    store.record_process(Process(4711, 12.5, "boot"))
    store.close()
    change(path, "UPDATE mapping SET body = replace(body, '40000', '40001') WHERE id = 'm2'")
    reopened = reopen()
    assert reopened.set_aside is not None
    assert reopened.state() == State()
    assert reopened.mappings() == [mapping(id="m1"), mapping(id="m3")]
    assert reopened.processes() == [Process(4711, 12.5, "boot")]


# Opens the store PATH and is killed before the AT-th change of its directory or opening of a
# database.
OPENS = """
import itertools, os, pathlib, signal, sys
from pairingd.state.store import Store

steps = itertools.count(1)

def kill(event, _):
    if event in {"os.rename", "os.remove", "sqlite3.connect"} and next(steps) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
Store.open(pathlib.Path(sys.argv[1]), 0)
"""


def opened_and_killed(path: Path, at: int) -> bool:
    """Whether it came so far."""
    opening = subprocess.run([sys.executable, "-c", OPENS, path, str(at)], check=False)
    return opening.returncode == -signal.SIGKILL


@pytest.mark.attack("waits for the host's disk and daemon to fail", "the port is closed later")
def test_the_journal_of_a_damaged_database_outlives_kill_9_at_any_step(tmp_path: Path) -> None:
    prepared = tmp_path / "state.db"
    with closing(Store.open(prepared, START)._database) as database:
        Store(database, Live(tmp_path / "live")).record(mapping())
        database.execute("INSERT INTO session (id, body) VALUES ('s1', 'damaged')")
        database.commit()
        crashed = {file.name: file.read_bytes() for file in tmp_path.glob("state.db*")}
    for at in itertools.count(1):
        path = tmp_path / str(at) / "state.db"
        path.parent.mkdir()
        for name, content in crashed.items():
            path.with_name(name).write_bytes(content)
        killed = opened_and_killed(path, at)
        with closing(Store.open(path, START)._database) as database:
            store = Store(database, Live(path.with_name("live")))
            assert store.mappings() == [mapping()], f"killed at step {at}"
            assert store.state() == State()
        assert not [*path.parent.glob("state.db.new*")]
        if not killed:
            assert at > 6
            return


@pytest.mark.parametrize("link", [True, False])
def test_what_is_no_set_aside_database_is_left_alone(path: Path, *, link: bool) -> None:
    aside = path.with_name("state.db.unreadable-1700000000")
    if link:  # a database lies elsewhere
        aside.write_bytes(b"the host's own copy")
        path.symlink_to(path.with_name("elsewhere"))
    else:
        aside.mkdir()
    with closing(Store.open(path, START)._database):
        assert aside.is_dir() is not link
        assert link is False or aside.read_bytes() == b"the host's own copy"


def test_a_place_that_is_taken_keeps_a_damaged_database_where_it_is(path: Path) -> None:
    path.write_bytes(content := b"this is not a database" * 100)
    taken = path.with_name("state.db.new")
    (taken / "of-the-host").mkdir(parents=True)
    with pytest.raises(Misconfigured) as caught:
        Store.open(path, START)
    assert caught.value.code == "state-unusable"
    assert str(taken) in caught.value.message
    assert path.read_bytes() == content
    assert taken.is_dir()


def test_all_tables_are_checked(path: Path, reopen: Callable[[], Store]) -> None:
    reopen().close()
    with closing(sqlite3.connect(path)) as database:
        made = database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
    assert sorted(name for (name,) in made) == sorted(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_a_database_without_one_of_its_tables_is_set_aside(
    path: Path, reopen: Callable[[], Store], table: str
) -> None:
    reopen().close()
    change(path, f"DROP TABLE {table}")
    assert reopen().set_aside is not None


def test_a_damaged_line_of_the_history_is_reported_as_damaged(
    path: Path, reopen: Callable[[], Store]
) -> None:
    store = reopen()
    for name in ("octocat", "mona", "hubot"):
        store.happened(START, "s1", "joined", name, {"guest": name})
    change(path, "UPDATE event SET text = 'nobody', data = '{' WHERE text = 'mona'")
    lines = [(event.kind, event.text) for event in store.history(0, 10)]
    assert lines[0] == ("joined", "octocat")
    assert lines[1] == ("damaged", "this line of the history is damaged")
    assert lines[2] == ("joined", "hubot")
    assert [event.kind for event in store.history_of("s1")] == ["joined", "damaged", "joined"]


def test_state_of_a_newer_version_is_refused_and_not_changed(
    path: Path, reopen: Callable[[], Store]
) -> None:
    reopen().close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    content = path.read_bytes()
    with pytest.raises(Misconfigured) as caught:
        reopen()
    assert caught.value.code == "state-newer"
    assert path.read_bytes() == content


def test_a_database_that_cannot_be_opened_is_not_set_aside(
    path: Path, reopen: Callable[[], Store]
) -> None:
    path.mkdir()
    with pytest.raises(Misconfigured) as caught:
        reopen()
    assert caught.value.code == "state-unusable"
    assert "permissions" in caught.value.hint
    assert path.is_dir()


def test_a_database_that_another_program_has_locked_is_not_set_aside(
    path: Path, reopen: Callable[[], Store]
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Misconfigured) as caught:
            reopen()
    assert caught.value.code == "state-unusable"
    assert "end the program" in caught.value.hint
    assert reopen().set_aside is None


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_database_of_every_version_loads_forever(
    path: Path, reopen: Callable[[], Store], version: int
) -> None:
    shutil.copy(Path(__file__).parent.parent / "data" / f"state-v{version}.db", path)
    store = reopen()
    assert store.set_aside is None
    assert store.state() == INVITED
    assert store.mappings() == [mapping()]
    assert store.processes() == [Process(4711, 12.5)]
    assert [event.kind for event in store.history(0, 10)] == ["invited"]


def test_a_database_from_before_the_marks_keeps_its_live_invitations(
    path: Path, reopen: Callable[[], Store]
) -> None:
    shutil.copy(Path(__file__).parent.parent / "data" / "state-v1.db", path)
    for _ in range(2):
        store = reopen()
        assert {invited.rights for invited in INVITED.live} == store.live.marks
        store.close()
    for mark in path.with_name("live").iterdir():
        mark.unlink()
    store = reopen()
    assert not store.live.marks


def test_a_disk_that_fails_is_no_lack_of_space(reopen: Callable[[], Store]) -> None:
    """SQLite calls a write error other than ENOSPC `disk I/O error`, as that of a file's limit."""
    store = reopen()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(WorldError) as caught:
            store.happened(START, None, "invited", "", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "disk I/O error" in caught.value.message
    assert caught.value.hint == FAILING_DISK
    assert remedy(OSError(errno.EIO, "of a file"), "free space") == FAILING_DISK


def test_a_database_whose_marks_cannot_be_made_is_migrated_later(
    path: Path, reopen: Callable[[], Store]
) -> None:
    shutil.copy(Path(__file__).parent.parent / "data" / "state-v1.db", path)
    path.with_name("live").touch()
    with pytest.raises(WorldError) as caught:
        reopen()
    assert caught.value.code == "state-unwritable"
    path.with_name("live").unlink()
    assert reopen().live.marks == {invited.rights for invited in INVITED.live}


def test_a_router_seen_to_ignore_internal_ports_stays_known(reopen: Callable[[], Store]) -> None:
    home, elsewhere = "eth0/192.168.1.10/192.168.1.1/02:00:00:00:00:01", "wlan0/10.0.0.7/10.0.0.1/"
    store = reopen()
    assert store.honours(home) is None
    store.judge(home, honours=True)
    assert store.honours(home) is True
    store.judge(home, honours=False)
    store.judge(home, honours=True)
    store.close()
    store = reopen()
    assert store.honours(home) is False
    assert store.honours(home.replace("eth0/192.168.1.10", "wlan0/192.168.1.23")) is False
    assert store.honours(home.replace("00:01", "00:02")) is None
    store.judge(elsewhere, honours=False)
    assert store.honours(elsewhere + "02:00:00:00:00:03") is False
