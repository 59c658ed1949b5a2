from __future__ import annotations

import pytest

from pairingd.core.addresses import (
    ExternalClass,
    external_class,
    home_block,
    is_inside,
    is_shared,
    may_be_public,
)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("5.5.5.1", ExternalClass.PUBLIC),
        ("2a00::1", ExternalClass.PUBLIC),
        ("10.1.2.3", ExternalClass.PRIVATE),
        ("172.16.0.1", ExternalClass.PRIVATE),
        ("192.168.1.1", ExternalClass.PRIVATE),
        ("203.0.113.7", ExternalClass.PRIVATE),
        ("198.18.0.1", ExternalClass.PRIVATE),
        ("fd00::1", ExternalClass.PRIVATE),
        ("100.64.0.1", ExternalClass.CGNAT),
        ("100.127.255.255", ExternalClass.CGNAT),
        ("192.0.0.2", ExternalClass.CGNAT),
        ("0.0.0.0", ExternalClass.BOGUS),
        ("127.0.0.1", ExternalClass.BOGUS),
        ("169.254.1.1", ExternalClass.BOGUS),
        ("224.0.0.1", ExternalClass.BOGUS),
        ("255.255.255.255", ExternalClass.BOGUS),
        ("fe80::1", ExternalClass.BOGUS),
        ("", ExternalClass.BOGUS),
        ("router.example", ExternalClass.BOGUS),
        ("5.5.5.1\n", ExternalClass.BOGUS),
    ],
)
def test_class_of_an_external_address(host: str, expected: ExternalClass) -> None:
    assert external_class(host) is expected


def test_the_carriers_range_ends_where_rfc_6598_says() -> None:
    assert external_class("100.63.255.255") is ExternalClass.PUBLIC
    assert external_class("100.128.0.0") is ExternalClass.PUBLIC


@pytest.mark.parametrize(
    ("host", "block", "shared"),
    [
        ("192.168.0.7", "192.168.0.0/16", False),
        ("10.255.0.1", "10.0.0.0/8", False),
        ("172.31.255.1", "172.16.0.0/12", False),
        ("172.32.0.1", "", False),
        ("100.64.0.1", "", True),
        ("100.128.0.1", "", False),
        ("192.0.0.2", "", False),
        ("203.0.113.1", "", False),
        ("fd00::1", "", False),
        ("router.lan", "", False),
        ("", "", False),
    ],
)
def test_private_and_shared_addresses_are_inside(host: str, block: str, shared: bool) -> None:
    assert (home_block(host), is_shared(host)) == (block, shared)
    assert is_inside(host) == (bool(block) or shared)


@pytest.mark.parametrize(
    ("host", "may_be"),
    [("5.5.5.1", True), ("2a00::1", True), ("home.example.org", True)]
    + [(host, False) for host in ("192.168.1.7", "100.64.0.2", "127.0.0.1", "fd00::1")],
)
def test_a_host_name_may_be_public(host: str, may_be: bool) -> None:
    assert may_be_public(host) is may_be
