"""A box lives as long as its lock is held."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pairingd.account.place import Account
from pairingd.box.place import Box, Shares, boxes, living
from tests.boxed import leaves_much_to_remove


def test_a_box_lives_as_long_as_the_lock_is_held(tmp_path: Path) -> None:
    box = Box(str(tmp_path), "one")
    Path(box.path).mkdir()
    assert not box.lives
    Path(box.lock).touch()
    assert not box.lives
    assert living(str(tmp_path)) is None
    with subprocess.Popen(
        ["flock", box.lock, "sh", "-c", "echo held; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert box.lives
        assert living(str(tmp_path)) == box
        box.remove()
        assert Path(box.path).exists()
        holder.communicate(b"\n")
    assert not box.lives
    box.remove()
    assert boxes(str(tmp_path)) == []


def test_what_a_guest_has_left_in_a_box_goes_with_it(tmp_path: Path) -> None:
    box = Box(str(tmp_path), "one")
    Path(box.shared).mkdir(parents=True)
    leaves_much_to_remove(Path(box.shared))
    box.remove()
    assert boxes(str(tmp_path)) == []


def test_a_record_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    box = Box(str(tmp_path), "one")
    Path(box.path).mkdir()
    assert box.shares == Shares("", "", 0)
    box.keep(Shares("/a directory", "none", 7))
    assert box.shares == Shares("/a directory", "none", 7)
    assert box.keeper is None
    Path(box.record).write_text("{")
    assert box.shares == Shares("", "", 0)


def test_a_place_whose_id_names_an_account_is_that_accounts(tmp_path: Path) -> None:
    assert Box(str(tmp_path), "b0c5").account is None
    place = Box(str(tmp_path), "b0c5@pair")
    assert place.account == Account("pair")
    assert place.socket == Account("pair").socket("b0c5")
    assert place.tmux == str(tmp_path / "b0c5@pair" / "tmux")
