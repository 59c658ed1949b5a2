from __future__ import annotations

import pytest

from pairingd.core.approval import (
    ANSWER_S,
    INTERRUPTED_S,
    INTERRUPTIONS,
    REMEMBERED_S,
    Desk,
    Visitor,
)
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from tests.core.make import START

OCTOCAT = Visitor(1, "i1", "github:octocat", "SHA256:a", "203.0.113.5", START)
AGAIN = replace(OCTOCAT, pid=2)
OTHER_KEY = replace(OCTOCAT, pid=3, fingerprint="SHA256:b")
HUBOT = Visitor(4, "i2", "github:hubot", "SHA256:c", "203.0.113.6", START)


def code(desk: Desk, guest: str, pid: int | None = None, *, approve: bool = True) -> str:
    with pytest.raises(Refused) as refused:
        desk.meant(guest, pid, approve=approve)
    return refused.value.code


def test_a_visitor_waits_until_their_answer_or_until_they_leave() -> None:
    desk = Desk().asked(OCTOCAT).asked(HUBOT)
    assert desk.waiting == (OCTOCAT, HUBOT)
    assert desk.without({1}).waiting == (HUBOT,)
    assert desk.let_in(HUBOT, START).waiting == (OCTOCAT,)
    assert OCTOCAT.until == START + ANSWER_S


def test_an_answer_applies_only_to_the_named_guest() -> None:
    desk = Desk().asked(OCTOCAT).asked(HUBOT)
    assert desk.meant("github:hubot", None, approve=True) == (HUBOT,)
    assert desk.meant("github:hubot", 4, approve=True) == (HUBOT,)
    assert code(desk, "github:hubot", 1) == "not-waiting"
    assert code(Desk(), "github:hubot", approve=False) == "not-waiting"


def test_an_approval_by_name_never_applies_to_two_keys_or_addresses() -> None:
    desk = Desk().asked(OCTOCAT).asked(AGAIN)
    assert desk.meant(OCTOCAT.guest, None, approve=True) == (OCTOCAT, AGAIN)
    for other in (OTHER_KEY, replace(OTHER_KEY, fingerprint="SHA256:a", peer="198.51.100.7")):
        more = desk.asked(other)
        assert code(more, OCTOCAT.guest) == "several-waiting"
        assert more.meant(OCTOCAT.guest, 3, approve=True) == (other,)
        assert more.meant(OCTOCAT.guest, None, approve=False) == (OCTOCAT, AGAIN, other)


def test_an_approved_key_is_remembered_for_its_invitation_and_a_time() -> None:
    desk = Desk().asked(OCTOCAT).let_in(OCTOCAT, START)
    assert desk.remembers("i1", "SHA256:a", START + REMEMBERED_S - 1)
    assert not desk.remembers("i1", "SHA256:a", START + REMEMBERED_S)
    assert not desk.remembers("i1", "SHA256:a", START - 1)  # the clock was set back
    assert not desk.remembers("i1", "SHA256:b", START)
    assert not desk.remembers("i2", "SHA256:a", START)


def test_approvals_are_forgotten_after_remembered_s() -> None:
    later = START + REMEMBERED_S
    desk = Desk().let_in(OCTOCAT, START).let_in(HUBOT, later)
    assert [approval.invitation for approval in desk.approved] == ["i2"]


def test_popups_for_one_invitation_are_limited_until_it_is_approved_or_time_has_passed() -> None:
    desk = Desk()
    for n in range(INTERRUPTIONS):
        assert desk.may_interrupt(AGAIN, START + n)
        desk = desk.interrupts(OCTOCAT, START + n)
    now = START + INTERRUPTIONS
    assert not desk.may_interrupt(AGAIN, now)
    assert desk.may_interrupt(HUBOT, now)
    assert desk.may_interrupt(AGAIN, START + INTERRUPTED_S)
    assert desk.interrupts(HUBOT, START + INTERRUPTED_S).interrupted[0] == ("i1", START + 1)
    assert desk.interrupts(HUBOT, now).let_in(OCTOCAT, now).interrupted == (("i2", now),)
