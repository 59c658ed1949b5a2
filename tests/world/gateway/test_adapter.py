"""The registry of protocols and the adapters that it names."""

from __future__ import annotations

import pytest

from pairingd import gateways
from pairingd.gateways import PROTOCOLS, Protocol
from pairingd.home import config
from pairingd.world.gateway.adapter import Adapter, Tools, mapping_adapters, pinhole_adapters
from pairingd.world.gateway.pxp.datagrams import Datagrams
from tests.world.gateway.conftest import NOW


def tools(command: str = "") -> Tools:
    router = config.Router(command=config.RouterCommand(open=command, close=command))
    return Tools(router, lambda: NOW, Datagrams())


def names(adapters: list[Adapter]) -> list[str]:
    return [adapter.protocol for adapter in adapters]


def test_every_line_of_the_registry_has_an_adapter_of_its_name() -> None:
    assert names(mapping_adapters(tools("true"))) == [protocol.name for protocol in PROTOCOLS]


def test_a_command_that_is_not_configured_has_no_adapter() -> None:
    assert names(mapping_adapters(tools())) == list(gateways.CONFIGURABLE)


def test_protocols_that_speak_ipv6_open_pinholes() -> None:
    ipv6 = [protocol.name for protocol in PROTOCOLS if protocol.ipv6]
    assert names(pinhole_adapters(tools())) == ipv6 == ["pcp", "upnp"]


def test_the_config_takes_the_registry_s_order() -> None:
    assert config.Router().protocols == gateways.CONFIGURABLE == ("pcp", "natpmp", "upnp")


def test_an_unknown_protocol_has_its_name_and_no_properties() -> None:
    assert gateways.named("igd9") == Protocol("igd9", "igd9", "")


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_protocol_speaks_for_known_ones_only(protocol: Protocol) -> None:
    assert set(protocol.speaks_for) <= set(gateways.CONFIGURABLE) - {protocol.name}
