"""The marks of who is live: what is durable on a full disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pairingd.core.model import Access, Invitation
from pairingd.core.records import replace
from pairingd.errors import WorldError
from pairingd.home.paths import find_paths
from pairingd.state.live import Live, copy_marks, mark_name, parse_mark
from pairingd.state.store import Store
from tests.core.make import START, invitation

ANN, BOB = invitation("github:ann", id="a1"), invitation("https://bob.example/keys", id="b/2")
HOUR = 3600.0


def marks(home: Path) -> set[str]:
    return {path.name for path in (home / "live").iterdir()}


def make(home: Path, *live: Invitation, steady: Callable[[], float] = lambda: 100.0) -> Live:
    made = Live(home / "live", steady)
    with made.made(live):
        pass
    return made


def test_a_live_invitation_has_an_empty_file_with_its_terms(tmp_path: Path) -> None:
    make(tmp_path, ANN, BOB)
    assert marks(tmp_path) == {f"a1.write.{START + 3600}", f"b%2F2.write.{START + 3600}"}
    assert Live(tmp_path / "live").marks == {ANN.rights, BOB.rights}
    assert (tmp_path / "live").stat().st_mode & 0o777 == 0o700


LESS = [
    replace(ANN, access=Access.READ),
    replace(ANN, expires_at=ANN.expires_at - 1),
    replace(ANN, access=Access.READ, expires_at=ANN.expires_at - 1),
]
MORE = replace(ANN, expires_at=ANN.expires_at + 1)


@pytest.mark.parametrize("less", LESS)
def test_a_mark_is_renamed_where_less_is_given(tmp_path: Path, less: Invitation) -> None:
    live = make(tmp_path, ANN)
    inode = (tmp_path / "live" / mark_name(ANN.rights)).stat().st_ino
    live.keep([less])
    assert live.marks == Live(tmp_path / "live").marks == {less.rights}
    assert (tmp_path / "live" / mark_name(less.rights)).stat().st_ino == inode


def test_keep_never_adds_rights_to_a_mark_and_made_does(tmp_path: Path) -> None:
    live = make(tmp_path, ANN)
    live.keep([MORE])
    assert live.marks == {ANN.rights}
    with live.made([MORE]):
        assert live.marks == {ANN.rights, MORE.rights}
    live.settle([MORE])
    assert marks(tmp_path) == {mark_name(MORE.rights)}


def test_keep_leaves_no_mark_with_more_rights_than_given(tmp_path: Path) -> None:
    live = make(tmp_path, ANN)
    with live.made([MORE]):
        pass
    live.keep([LESS[0]])
    assert marks(tmp_path) == {mark_name(LESS[0].rights)}


def test_a_mark_that_cannot_be_renamed_is_removed(tmp_path: Path) -> None:
    live = make(tmp_path, ANN)
    (tmp_path / "live" / mark_name(LESS[0].rights)).mkdir()
    live.keep([LESS[0]])
    assert not live.marks
    assert not (tmp_path / "live" / mark_name(ANN.rights)).exists()


def test_a_change_that_fails_leaves_the_marks_as_they_were(tmp_path: Path) -> None:
    live = make(tmp_path, ANN)

    def fails() -> None:
        with live.made([ANN, BOB]):
            assert BOB.rights in Live(tmp_path / "live").marks
            raise WorldError("state-unwritable", "full", "free space")

    with pytest.raises(WorldError):
        fails()
    assert marks(tmp_path) == {mark_name(ANN.rights)}


def test_no_invitation_is_live_if_no_mark_can_be_created(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("")
    live = Live(tmp_path / "live")
    with pytest.raises(WorldError) as caught, live.made([ANN]):
        pytest.fail("entered")
    assert caught.value.code == "state-unwritable"
    assert not live.marks


def test_either_all_invitations_of_a_request_get_a_mark_or_none(tmp_path: Path) -> None:
    live = make(tmp_path)
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / mark_name(BOB.rights)).mkdir()
    with pytest.raises(WorldError), live.made([ANN, BOB]):
        pytest.fail("entered")
    assert marks(tmp_path) == {mark_name(BOB.rights)}  # the directory, which is not ours


def test_every_unlink_is_tried_and_a_failed_one_is_tried_again(tmp_path: Path) -> None:
    live = make(tmp_path, ANN, BOB)
    for invited in (ANN, BOB):
        path = tmp_path / "live" / mark_name(invited.rights)
        path.unlink()
    (tmp_path / "live" / mark_name(ANN.rights)).mkdir()
    with pytest.raises(OSError):
        live.keep([])
    assert live.marks == {ANN.rights}
    (tmp_path / "live" / mark_name(ANN.rights)).rmdir()
    live.keep([])
    assert not live.marks


def test_files_that_are_not_marks_are_kept(tmp_path: Path) -> None:
    make(tmp_path, ANN)
    (tmp_path / "live" / "notes.txt").touch()
    (tmp_path / "live" / "c3.write.99").write_text("not empty")
    (tmp_path / "live" / "d4.write.99").symlink_to(tmp_path)
    Live(tmp_path / "live").keep([])
    assert marks(tmp_path) == {"notes.txt", "c3.write.99", "d4.write.99"}


@pytest.mark.parametrize(
    "name", ["a1.write", "a1.admin.99", "a1.write.-9", "a1.write.099", "a/1.write.9", "a1.write.1x"]
)
def test_parse_mark_returns_none_for_any_other_name(name: str) -> None:
    assert parse_mark(name) is None


def test_no_invitation_is_live_without_the_live_directory(tmp_path: Path) -> None:
    live = make(tmp_path, ANN)
    (tmp_path / "live" / mark_name(ANN.rights)).unlink()
    (tmp_path / "live").rmdir()
    assert not Live(tmp_path / "live").marks
    live.keep([])  # of a daemon that runs meanwhile
    with live.made([BOB]):
        assert marks(tmp_path) == {mark_name(BOB.rights)}


@pytest.mark.parametrize(
    ("seen_at", "seen", "starts_at", "now", "behind"),
    [
        (100, START, 100, START, False),
        (100, START, 110, START + 10, False),
        (100, START, 110, START - 0.5, True),  # 10 s have passed, whatever the clock says
        (100, START, 110, START + 8, True),
        (100, START, 110, START + 9.5, False),
        (100, START, 110, START + 1e6, False),
        (100, START, 110, START - HOUR, True),
        (5000, START, 20, START - HOUR, True),  # after a reboot
        (5000, START, 20, START + 15, True),
        (5000, START, 20, START + 20, False),
        (100, START, 100 + 24 * HOUR, START + 24 * HOUR - 60, False),  # NTP slews one of the two
        (100, START, 100 + 24 * HOUR, START + 23 * HOUR, True),
    ],
)
def test_a_clock_behind_the_latest_time_seen_is_noticed(
    tmp_path: Path, seen_at: float, seen: float, starts_at: float, now: float, behind: bool
) -> None:
    make(tmp_path, ANN, steady=lambda: seen_at).touch(seen)
    assert Live(tmp_path / "live", lambda: starts_at).is_behind(now) is behind


def test_reading_a_mark_does_not_change_the_time_it_keeps(tmp_path: Path) -> None:
    make(tmp_path, ANN).touch(START)
    path = tmp_path / "live" / mark_name(ANN.rights)
    os.utime(path, (START + 5, path.stat().st_mtime))
    live = Live(tmp_path / "live", lambda: 110.0)
    assert not live.is_behind(START)
    assert live.is_behind(START - 2)


def test_the_latest_of_all_marks_counts(tmp_path: Path) -> None:
    make(tmp_path, ANN, BOB)
    os.utime(tmp_path / "live" / mark_name(BOB.rights), (100, START + 60))
    os.utime(tmp_path / "live" / mark_name(ANN.rights), (100, START + 5))
    live = Live(tmp_path / "live", lambda: 700.0)
    assert live.latest == pytest.approx(START + 660, abs=1)
    assert live.seen == START + 60


def test_without_a_mark_no_clock_is_behind(tmp_path: Path) -> None:
    assert not Live(tmp_path / "live").is_behind(0)


def test_the_marks_lie_where_uninstall_looks_for_them(tmp_path: Path) -> None:
    paths = find_paths({"PAIRING_HOME": str(tmp_path)})
    store = Store.open(Path(paths.state_db), START)
    with store.live.made([ANN]):
        assert (Path(paths.live) / mark_name(ANN.rights)).is_file()
    store.close()


def test_copies_for_an_account_are_the_marks_of_the_live_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "octocat.write.1").touch()
    (tmp_path / f"octocat.farewell.{os.getpid()}").touch()
    copy_marks(tmp_path, [ANN])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {mark_name(ANN.rights), f"octocat.farewell.{os.getpid()}"}
    copy_marks(tmp_path, [])
    assert [path.name for path in tmp_path.iterdir()] == [f"octocat.farewell.{os.getpid()}"]


def test_copies_that_cannot_be_made_keep_nothing_else_from_being_done(tmp_path: Path) -> None:
    copy_marks(tmp_path / "absent", [ANN])
