from __future__ import annotations

import pytest

from pairingd.core import confine
from pairingd.core.confine import LeadBack, TmuxClient, Unlock, Weigh, steering, strays
from pairingd.core.records import replace
from pairingd.world.forced_command import glass

OBSERVER = TmuxClient("observer", 1, True, "pairing", False, False, 0, 0)
HOST = TmuxClient("host", 2, False, "pairing", False, False, 100, 30)
READER = TmuxClient("reader", 3, False, "pairing", True, True, 80, 24)
WRITER = TmuxClient("writer", 4, False, "pairing", False, True, 80, 24)
ALL = [OBSERVER, HOST, READER, WRITER]
WRITES = {"reader": False, "writer": True}


def steered(*clients: TmuxClient) -> list[confine.Steering]:
    return steering(clients, WRITES, "pairing", OBSERVER.pid)


def test_guests_in_place_beside_the_host_are_left_alone() -> None:
    assert steered(*ALL) == []
    assert strays(ALL, WRITES, "pairing") == set()


def test_a_write_guest_s_size_counts_only_while_the_host_is_out() -> None:
    assert steered(OBSERVER, READER, WRITER) == [Weigh("writer", True)]
    counting = replace(WRITER, ignores_size=False)
    assert steered(OBSERVER, READER, counting) == []
    assert steered(*ALL[:3], counting) == [Weigh("writer", False)]


def test_a_host_in_another_session_is_out() -> None:
    elsewhere = replace(HOST, session="private")
    assert steered(OBSERVER, elsewhere, WRITER) == [Weigh("writer", True)]


def test_a_read_guest_s_size_never_counts() -> None:
    assert steered(OBSERVER, replace(READER, ignores_size=False)) == [Weigh("reader", False)]


@pytest.mark.parametrize("guest", [READER, WRITER])
def test_a_guest_in_another_session_is_led_back_and_astray_until_then(guest: TmuxClient) -> None:
    elsewhere = replace(guest, session="private")
    assert steered(HOST, elsewhere) == [LeadBack(guest.name)]
    assert strays([elsewhere], WRITES, "pairing") == {guest.name}


def test_toggled_read_only_and_ignore_size_flags_are_reset() -> None:
    assert steered(HOST, replace(WRITER, read_only=True, ignores_size=False)) == [
        Unlock("writer"),
        Weigh("writer", False),
    ]
    assert steered(replace(OBSERVER, read_only=True, ignores_size=True)) == [
        Unlock("observer"),
        Weigh("observer", True),
    ]


@pytest.mark.parametrize("size", [{"columns": 501}, {"rows": 201}])
def test_a_guest_s_terminal_beyond_the_size_limits_is_astray_and_the_host_s_is_not(
    size: dict[str, int],
) -> None:
    clients = [replace(HOST, **size), replace(READER, **size)]  # type: ignore[arg-type] # its fields
    assert strays(clients, WRITES, "pairing") == {"reader"}


def test_the_size_limits_equal_those_in_glass_py() -> None:
    """It runs apart from the package, so it has numbers of its own."""
    assert (confine.MAX_COLUMNS, confine.MAX_ROWS) == (glass.MAX_COLUMNS, glass.MAX_ROWS)
