from __future__ import annotations

import pytest

from pairingd.reconcile.witness import Witness
from pairingd.signals import Signals

OWN = "5.5.5.9"


class Machine:
    """With an open door and nothing between it and the internet."""

    def __init__(self, external: str = "") -> None:
        self.address, self.port = OWN, 40000
        self.signals = Signals()
        self.witness = Witness(
            lambda: self.address, lambda: self.port, self.signals, external=external
        )

    @property
    def seen(self) -> str | None:
        return self.witness.seen(self.address)


@pytest.mark.parametrize(
    ("peer", "proves"),
    [
        ("9.9.9.9", True),
        (OWN, False),
        ("5.5.5.1", False),  # the router, in whose name a connection from home may come
        ("192.168.1.30", False),
        ("127.0.0.1", False),
        ("100.64.0.9", False),
        ("2a02::9", False),
    ],
)
def test_only_a_connection_from_the_internet_is_evidence(peer: str, proves: bool) -> None:
    machine = Machine(external="5.5.5.1")
    machine.signals.stranger_came(peer)
    assert machine.seen == ("stranger" if proves else None)


@pytest.mark.parametrize(
    ("peer", "proves"), [("2a02::9", True), ("2a00:77::30", False), ("9.9.9.9", False)]
)
def test_a_connection_by_ipv6_is_evidence_for_an_ipv6_address(peer: str, proves: bool) -> None:
    machine = Machine()
    machine.address = "2a00:77::10"
    machine.signals.guest_came(peer)
    assert machine.seen == ("guest" if proves else None)
    machine.address = ""  # it has none
    machine.signals.guest_came(peer)
    assert machine.seen is None


def test_a_guest_is_better_evidence_than_a_stranger() -> None:
    machine = Machine()
    machine.signals.stranger_came("9.9.9.9")
    machine.signals.guest_came("9.9.9.9")
    machine.signals.stranger_came("9.9.9.9")
    assert machine.seen == "guest"


def test_a_router_known_only_by_name_makes_no_connection_evidence() -> None:
    machine = Machine(external="home.example.org")
    machine.signals.guest_came("9.9.9.9")
    assert machine.seen is None


def test_evidence_counts_for_one_address_and_one_door() -> None:
    machine = Machine()
    machine.signals.stranger_came("9.9.9.9")
    machine.address = "5.5.5.10"
    assert machine.seen is None
    machine.signals.stranger_came("9.9.9.9")
    assert machine.seen == "stranger"
    machine.port = 40001
    assert machine.seen is None
