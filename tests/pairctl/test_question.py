from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pairctl.question import APPROVE, DENY, QUIET_S, answer, question
from pairctl.text.output import View

if TYPE_CHECKING:
    from pairingd.protocol.results import Visitor

NOW = 1773499205.0  # 2026-03-14T14:40:05Z
VISITOR: Visitor = {
    "guest": f"github:{'a' * 39}",
    "access": "write",
    "fingerprint": f"SHA256:{'x' * 43}",
    "peer": "2001:db8:1111:2222:3333:4444:5555:6666",
    "pid": 4711,
    "until": "2026-03-14T14:40:48Z",
}


def drawn(columns: int = 58, rows: int = 12, quiet_s: float = QUIET_S) -> str:
    return question(VISITOR, View(now=NOW), (columns, rows), quiet_s)


def test_ctrl_y_and_ctrl_n_answer_after_a_quiet_second() -> None:
    assert answer(APPROVE, QUIET_S) is True
    assert answer(DENY, QUIET_S) is False
    assert answer(APPROVE, QUIET_S - 0.1) is None
    assert answer(DENY, 0) is None


@pytest.mark.parametrize(
    "typed",
    [b"y", b"Y", b"\r", b" ", b"\x1b", b"\x03", b"yes\r", b"a\x19", b"\x19\x19", b"\x1b\x19"],
)
def test_no_other_key_is_an_answer(typed: bytes) -> None:
    assert answer(typed, 60) is None


@pytest.mark.parametrize(("columns", "rows"), [(58, 12), (78, 22), (40, 12), (20, 30)])
def test_the_question_names_all_and_fits(columns: int, rows: int) -> None:
    lines = drawn(columns, rows).splitlines()
    assert len(lines) <= rows
    if columns > 40:
        assert max(map(len, lines)) <= columns
    text = "".join(line.strip() for line in lines)
    values = (VISITOR["guest"], VISITOR["fingerprint"], VISITOR["peer"])
    for part in (*values, "read-write", "43 s", "Ctrl-Y"):
        assert part in text


def test_the_keys_are_shown_once_they_count() -> None:
    assert "Ctrl-Y" not in drawn(quiet_s=0)


def test_a_guest_of_any_length_leaves_room_for_the_keys() -> None:
    long: Visitor = {**VISITOR, "guest": "file:/" + "long/" * 200}
    text = question(long, View(now=NOW), (58, 12), QUIET_S)
    assert len(text.splitlines()) <= 12
    assert "Ctrl-Y" in text
    assert VISITOR["fingerprint"] in text


def test_a_question_past_its_deadline_shows_0_seconds() -> None:
    assert "0 s to decide" in question(VISITOR, View(now=NOW + 600), (58, 12), QUIET_S)
