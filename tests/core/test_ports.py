from __future__ import annotations

import pytest

from pairingd.core.ports import (
    DYNAMIC_PORTS,
    MAX_PORT,
    at_port,
    bracketed,
    dynamic_port,
    parse_port,
)


@pytest.mark.parametrize(("text", "port"), [("1", 1), ("00022", 22), ("65535", 65535)])
def test_a_port_is_read(text: str, port: int) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize(
    "text",
    ["", "0", "65536", "99999", "000022", "9" * 5000, "-1", "+1", " 1", "1 ", "1_0", "²", "٣"],
)
def test_what_is_no_port_is_none(text: str) -> None:
    assert parse_port(text) is None


def test_a_name_has_the_same_port_in_each_run_and_names_differ() -> None:
    assert dynamic_port("laptop/relay") == 61192  # as guests and routers know it already
    ports = {dynamic_port(f"laptop/{n}") for n in range(50)}
    assert len(ports) > 45
    assert ports <= set(DYNAMIC_PORTS)
    assert max(DYNAMIC_PORTS) == MAX_PORT


@pytest.mark.parametrize(
    ("host", "text"),
    [("5.5.5.1", "5.5.5.1:22"), ("a.example.org", "a.example.org:22"), ("fd00::1", "[fd00::1]:22")],
)
def test_an_ipv6_address_has_brackets_before_its_port(host: str, text: str) -> None:
    assert at_port(host, 22) == text


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("fe80::1%eth0", "[fe80::1%eth0]"),
        ("192.0.2.1", "192.0.2.1"),
        ("example.net", "example.net"),
    ],
)
def test_only_an_ipv6_address_stands_in_brackets(host: str, written: str) -> None:
    assert bracketed(host) == written
