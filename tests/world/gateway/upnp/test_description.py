"""A description names services; those at another host are never asked."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway.upnp import description
from pairingd.world.gateway.upnp.location import location_host
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Service

URL = "http://192.168.1.1:5000/rootDesc.xml"
AT = "http://192.168.1.1:5000"
STANDARD = "urn:schemas-upnp-org:service:"


def service(kind: str, control: str) -> str:
    kind = kind if kind.startswith("urn:") else STANDARD + kind
    return f"<service><serviceType>{kind}</serviceType><controlURL>{control}</controlURL></service>"


def read(*services: str, url: str = URL) -> description.Description:
    return description.read(f"<root>{''.join(services)}</root>", url)


def controls(*services: str) -> list[str]:
    return [service.control_url for service in read(*services).wan_services]


def test_wan_services_of_any_version_come_best_first() -> None:
    kinds = ["WANPPPConnection:1", "WANIPConnection:1", "WANIPConnection:10", "WANIPConnection:3"]
    kinds += ["WANPPPConnection:2", "WANCommonInterfaceConfig:1"]
    services = read(*(service(kind, f"/{kind}") for kind in kinds)).wan_services
    assert [service.type.removeprefix(STANDARD) for service in services] == [
        *("WANIPConnection:10", "WANIPConnection:3", "WANIPConnection:1"),
        *("WANPPPConnection:2", "WANPPPConnection:1"),
    ]


@pytest.mark.parametrize(
    "kind",
    [
        "urn:dslforum-org:service:WANIPConnection:1",
        "WANIPConnection:",
        "WANIPConnection:1x",
        "WANIPConnectionX:1",
        "WANIPConnection:\u0661",
        "LANIPConnection:1",
    ],
)
def test_other_kinds_are_not_asked_for_mappings(kind: str) -> None:
    assert controls(service(kind, "/ctl")) == []


@pytest.mark.parametrize("version", [1, 2, 12])
def test_a_firewall_of_any_version_is_known(version: int) -> None:
    firewall = f"WANIPv6FirewallControl:{version}"
    assert read(service(firewall, "/fw")).firewall == Service(STANDARD + firewall, f"{AT}/fw")
    assert read(service("WANIPConnection:2", "/ctl")).firewall is None


@pytest.mark.attack(
    "a description names a control URL that two readers read in two ways", "never asked"
)
@pytest.mark.parametrize(
    "control",
    [
        "http://192.168.1.9/ctl",
        "//192.168.1.9/ctl",
        "http://192.168.1.9:80@192.168.1.1/ctl",
        "http://192.168.1.1@192.168.1.9/ctl",
        "http://192.168.1.1#.example.org/ctl",
        "http://192.168.1.1.example.org/ctl",
        "http://192.168.1.1:80:192.168.1.9/ctl",
        "http://192.168.1.1\\@192.168.1.9/ctl",
        "https://192.168.1.1/ctl",
        "file:///etc/passwd",
        "http://[192.168.1.1/ctl",
        "/" + "x" * 600,
    ],
)
def test_a_service_at_another_address_is_ignored(control: str) -> None:
    alone = read(service("WANIPConnection:1", control))
    assert alone.services == ()
    assert alone.names_wan_services_elsewhere
    beside = read(service("WANIPConnection:1", control), service("WANPPPConnection:1", "/ppp"))
    assert [service.control_url for service in beside.wan_services] == [f"{AT}/ppp"]
    assert not beside.names_wan_services_elsewhere


def test_services_with_a_url_base_elsewhere_are_ignored() -> None:
    base = "<URLBase>http://192.168.1.9/</URLBase>"
    assert read(base, service("WANIPConnection:1", "/ctl")).names_wan_services_elsewhere
    base = f"<URLBase>{AT}/base/</URLBase>"
    assert controls(base, service("WANIPConnection:1", "ctl")) == [f"{AT}/base/ctl"]


def test_a_router_s_ipv6_address_is_its_host() -> None:
    url = "http://[2001:db8::1]:5000/rootDesc.xml"
    [described] = read(service("WANIPConnection:1", "/ctl"), url=url).services
    assert described.control_url == "http://[2001:db8::1]:5000/ctl"


def test_at_most_64_services_are_read() -> None:
    assert len(read(*[service("WANIPConnection:1", "/ctl")] * 1000).services) == 64


def test_a_service_within_a_service_counts_by_itself() -> None:
    inner = service("WANIPConnection:1", "/inner")
    assert controls(f"<service><list>{inner}</list></service>") == [f"{AT}/inner"]


@pytest.mark.parametrize("text", ["<root/>", "<html><body>Log in</body></html>", ""])
def test_a_description_without_a_service_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        description.read(text, URL)


@given(st.text() | st.text().map(lambda text: service("WANIPConnection:1", text)))
def test_no_description_raises_anything_else(text: str) -> None:
    with contextlib.suppress(BadAnswer):
        parsed = description.read(text, URL)
        assert all(
            location_host(service.control_url) == "192.168.1.1" for service in parsed.services
        )
