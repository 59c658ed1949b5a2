"""The external address of a grant."""

from __future__ import annotations

import pytest

from pairingd.world.gateway.grant import granted
from tests.world.gateway.conftest import requested


@pytest.mark.parametrize(
    ("gateway", "client", "reported", "believed"),
    [
        ("192.168.7.1", "192.168.7.2", "192.168.7.1", ""),
        ("192.168.7.1", "192.168.7.2", "192.168.7.2", ""),
        ("192.168.7.1", "192.168.7.2", "10.0.0.9", "10.0.0.9"),  # of a router in front
        ("192.168.7.1", "192.168.7.2", "5.5.5.1", "5.5.5.1"),
        ("5.5.5.1", "5.5.5.2", "5.5.5.2", "5.5.5.2"),  # a firewall that translates nothing
        ("fe80::1", "fd00::2", "fd00::2", "fd00::2"),
    ],
)
def test_an_inside_address_is_no_external_one(
    gateway: str, client: str, reported: str, believed: str
) -> None:
    wanted = requested(gateway=gateway, internal_host=client)
    assert granted(wanted, (reported, 22), 600, 0.0, 300.0).external_host == believed
