from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.admission import (
    FORGIVEN_AFTER,
    FREE_FAILURES,
    LONGEST_PENALTY,
    MAX_UNAUTHENTICATED,
    MAX_UNAUTHENTICATED_PER_SOURCE,
    Admission,
    source_of,
)

PEER = "203.0.113.7"


def fail(admission: Admission, times: int, now: float, peer: str = PEER) -> None:
    for _ in range(times):
        while admission.admit(peer, now):
            now += 1.0
        admission.left(peer, now, failed=True)


def test_three_may_knock_from_one_address_at_once() -> None:
    admission = Admission()
    admitted = [admission.admit(PEER, 0.0) for _ in range(MAX_UNAUTHENTICATED_PER_SOURCE + 1)]
    assert admitted[:-1] == [None] * MAX_UNAUTHENTICATED_PER_SOURCE
    assert admitted[-1] is not None
    admission.left(PEER, 1.0, failed=False)
    assert admission.admit(PEER, 1.0) is None


def test_ten_may_knock_at_once_from_everywhere_together() -> None:
    admission = Admission()
    for n in range(MAX_UNAUTHENTICATED):
        assert admission.admit(f"198.51.100.{n}", 0.0) is None
    assert admission.admit("192.0.2.1", 0.0) is not None


def test_those_who_are_in_do_not_count() -> None:
    admission = Admission()
    for _ in range(2 * MAX_UNAUTHENTICATED):
        assert admission.admit(PEER, 0.0) is None
        admission.authenticated(PEER)


def test_a_few_wrong_keys_cost_nothing_then_each_costs_more() -> None:
    admission = Admission()
    fail(admission, FREE_FAILURES, now=0.0)
    assert admission.admit(PEER, 0.0) is None
    admission.left(PEER, 0.0, failed=True)
    assert admission.admit(PEER, 0.5) is not None
    assert admission.admit(PEER, 1.0) is None
    admission.left(PEER, 1.0, failed=True)
    assert admission.admit(PEER, 2.5) is not None
    assert admission.admit(PEER, 3.0) is None


def test_a_penalty_ends_and_touches_nobody_else() -> None:
    admission = Admission()
    fail(admission, 40, now=0.0)
    assert admission.admit("198.51.100.1", 0.0) is None
    assert admission.admit(PEER, 40 * LONGEST_PENALTY) is None


def test_failures_are_forgotten_in_time_and_by_getting_in() -> None:
    admission = Admission()
    fail(admission, FREE_FAILURES, now=0.0)
    assert admission.admit(PEER, 1.0) is None
    admission.authenticated(PEER)
    fail(admission, FREE_FAILURES, now=2.0)
    assert admission.admit(PEER, 2.0) is None
    admission.left(PEER, 2.0, failed=True)
    assert admission.admit(PEER, 2.0 + FORGIVEN_AFTER) is None


@pytest.mark.parametrize("near_end", ["127.0.0.1", "fd00::5"])
def test_one_stranger_behind_a_relay_does_not_lock_the_others_out(near_end: str) -> None:
    admission = Admission(shared=frozenset({near_end}))
    fail(admission, 3 * FREE_FAILURES, now=0.0, peer=near_end)
    admitted = [admission.admit(near_end, 0.0) for _ in range(MAX_UNAUTHENTICATED + 1)]
    assert admitted[:-1] == [None] * MAX_UNAUTHENTICATED
    assert admitted[-1] is not None


def test_the_memory_of_sources_is_bounded() -> None:
    admission = Admission()
    for n in range(3000):
        fail(admission, 1, now=float(n), peer=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(admission._records) <= 1024


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_network(peer: str, source: str) -> None:
    assert source_of(peer) == source


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 1e6))))
def test_every_connection_that_goes_leaves_no_trace_in_the_count(
    visits: list[tuple[str, bool, float]],
) -> None:
    admission = Admission()
    for peer, failed, now in visits:
        if admission.admit(peer, now) is None:
            admission.left(peer, now, failed=failed)
    assert admission._waiting == {}
