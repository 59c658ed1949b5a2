from __future__ import annotations

import socket

from pairingd.machine import interfaces


def test_on_link_is_true_for_an_address_in_our_own_network() -> None:
    assert interfaces.on_link("127.0.0.9", "127.0.0.1")
    assert not interfaces.on_link("10.99.0.1", "127.0.0.1")
    assert not interfaces.on_link("router.example", "127.0.0.1")


def test_addresses_are_listed_by_interface() -> None:
    assert ["127.0.0.1"] in interfaces.addresses(socket.AF_INET).values()


def test_near_returns_our_addresses_in_the_network_of_a_host() -> None:
    assert interfaces.near("127.0.0.9") == ["127.0.0.1"]
    assert interfaces.near("198.51.100.1") == interfaces.near("::1") == interfaces.near("x") == []


def test_our_own_address_is_the_kernels_choice() -> None:
    assert interfaces.source_towards("127.0.0.1") == "127.0.0.1"
