"""Knocks are told once each, however many there are."""

from __future__ import annotations

import pytest

from pairingd.core.durations import utc
from pairingd.core.events import End
from pairingd.core.knocks import Attempt
from pairingd.core.penalties import Ban
from pairingd.reconcile.access.knocks import MAX_KNOCKS, NOTICE_INTERVAL_S, Knocks
from pairingd.replies import report
from pairingd.signals import Signals
from pairingd.state.history import Happening
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from tests.core.make import START, invitation, invite


class Host:
    def __init__(self, store: Store) -> None:
        self.now = START + 1.0
        self.told: list[str] = []
        self.store = store
        self.intent = Intent(store, lambda: self.now, Signals())
        self.intent.apply(invite(session="s1"))
        self.knocks = Knocks(self.intent, self.told.append)

    def hears(self, peer: str, key: str = "SHA256:x", times: int = 1) -> None:
        for _ in range(times):
            self.knocks.refused(Attempt(peer).plus(key, other_user=False))

    def lines(self, session: str = "s1") -> list[Happening]:
        return [one for one in self.store.history_of(session) if one.kind == "refused"]

    def counted(self, session: str = "s1") -> int:
        return sum(one.data["times"] for one in self.lines(session))


@pytest.fixture
def host(store: Store) -> Host:
    return Host(store)


@pytest.mark.attack("knocks a thousand times", "ten lines of history, and the right number")
def test_the_same_knock_is_a_line_when_its_number_has_doubled(host: Host) -> None:
    host.hears("203.0.113.9", times=1000)
    assert len(host.lines()) == 10
    [knock] = host.knocks.of_now
    assert knock.times == 1000
    [unwritten] = host.knocks.unwritten("s1")
    assert host.counted() + unwritten.times - unwritten.written == 1000
    host.intent.apply(End())
    host.knocks.settle()
    assert (len(host.lines()), host.counted()) == (11, 1000)


@pytest.mark.attack("knocks from a thousand addresses", "the rest is counted together")
def test_knocks_from_many_addresses_are_bounded(host: Host) -> None:
    for n in range(1000):
        host.hears(f"203.0.{n // 250}.{n % 250}")
    assert len(host.knocks.of_now) == MAX_KNOCKS + 1
    host.knocks.write()
    assert len(host.lines()) < MAX_KNOCKS + 12
    assert host.counted() == 1000
    assert len(host.told) == 1


def test_the_host_is_notified_once_per_address_and_not_of_all_at_once(host: Host) -> None:
    host.hears("203.0.113.9", times=3)
    host.hears("203.0.113.10")
    assert len(host.told) == 1
    host.now += NOTICE_INTERVAL_S
    host.hears("203.0.113.9")
    host.hears("203.0.113.10")
    assert len(host.told) == 2
    host.knocks.banned("203.0.113.9", Ban(host.now + 4.0, 4.0))
    host.knocks.banned("203.0.113.9", Ban(host.now + 8.0, 8.0))
    assert [line for line in host.told if "is kept out for 4s" in line] == host.told[2:]


def test_knocks_of_one_address_for_two_reasons_are_two(host: Host) -> None:
    host.knocks.refused(Attempt("203.0.113.9", other_user=True))
    host.hears("203.0.113.9", key="", times=2)
    assert [
        (one.meaning.text.partition("failed: ")[2], one.times) for one in host.knocks.of_now
    ] == [
        ("it used another user name than the command has", 1),
        ("it offered no key, or did not sign with an invited one", 2),
    ]


def test_a_receipt_has_a_knock_once_with_its_number(host: Host) -> None:
    host.hears("203.0.113.9", times=5)
    host.hears("203.0.113.10", times=2)
    host.now += 1
    host.hears("203.0.113.9")
    session = host.intent.state.session
    assert session
    unwritten = host.knocks.unwritten("s1")
    receipt = report.receipt(session, host.lines(), unwritten, (), host.now)
    listed = [(one["peer"], one["times"], one["at"]) for one in receipt["refusals"]]
    assert listed == [
        ("203.0.113.10", 2, utc(START + 1)),
        ("203.0.113.9", 6, utc(START + 2)),
    ]
    assert all(one["message"].endswith("to github:octocat") for one in receipt["refusals"])
    assert receipt["refused"] == 8


def test_another_session_begins_without_knocks_and_the_last_one_keeps_its_own(host: Host) -> None:
    host.hears("203.0.113.9", times=3)
    host.now += 3600
    host.intent.apply(invite(invitation("github:bob", issued_at=START + 3600), session="s2"))
    host.hears("203.0.113.9")
    assert (host.counted("s1"), host.counted("s2")) == (3, 1)
    assert [one.times for one in host.knocks.of_now] == [1]
