from __future__ import annotations

import pytest

from pairingd.core.penalties import (
    FORGIVEN_AFTER,
    FREE_FAILURES,
    LONGEST_PENALTY,
    MAX_SOURCES,
    Penalties,
    source_of,
)

PEER = "203.0.113.7"


def failing(times: int, *, login: bool, now: float = 0.0) -> Penalties:
    penalties = Penalties()
    for _ in range(times):
        penalties.failed(PEER, now, login=login)
    return penalties


def test_the_first_refused_logins_are_free_and_each_further_one_bans_longer() -> None:
    penalties = failing(FREE_FAILURES, login=True)
    assert not penalties.is_banned(PEER, 0.0)
    penalties.failed(PEER, 0.0, login=True)
    assert penalties.is_banned(PEER, 0.5)
    assert not penalties.is_banned(PEER, 1.0)
    penalties.failed(PEER, 1.0, login=True)
    assert penalties.is_banned(PEER, 2.5)
    assert not penalties.is_banned(PEER, 3.0)


def test_connections_without_a_login_attempt_make_a_source_suspect_and_never_ban_it() -> None:
    penalties = failing(40, login=False)
    assert penalties.is_suspect(PEER, LONGEST_PENALTY - 1)
    assert not penalties.is_suspect(PEER, LONGEST_PENALTY)
    assert not penalties.is_banned(PEER, 0.0)


def test_a_penalty_does_not_affect_another_address() -> None:
    penalties = failing(40, login=True)
    assert not penalties.is_banned("198.51.100.1", 0.0)
    assert not penalties.is_suspect("198.51.100.1", 0.0)


def test_a_source_that_a_guest_has_entered_from_is_neither_banned_nor_suspect() -> None:
    penalties = failing(40, login=True)
    penalties.know(PEER)
    assert not penalties.is_banned(PEER, 0.0)
    assert not penalties.is_suspect(PEER, 0.0)
    penalties.forget_known()
    assert penalties.is_banned(PEER, 0.0)


def test_failures_are_forgotten_in_time_and_by_a_login() -> None:
    penalties = failing(FREE_FAILURES, login=True)
    penalties.failed(PEER, FORGIVEN_AFTER, login=True)
    assert not penalties.is_banned(PEER, FORGIVEN_AFTER)
    penalties = failing(40, login=True)
    penalties.forgive(PEER)
    assert not penalties.is_banned(PEER, 0.0)


def test_the_memory_of_sources_is_bounded() -> None:
    penalties = Penalties()
    for n in range(3 * MAX_SOURCES):
        penalties.failed(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", float(n), login=True)
        penalties.know(f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(penalties._records) == len(penalties._known) == MAX_SOURCES


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
