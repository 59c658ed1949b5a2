from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest

from pairingd.core import strict
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.home import config
from pairingd.world.gateway.adapter import MacOf, unknown_mac
from pairingd.world.gateway.upnp import ssdp
from pairingd.world.gateway.upnp.mappings import UpnpAdapter
from tests.fakes.igd import FakeIgd

NOW = 1_800_000_000.0
HOME = Network("lo", "127.0.0.1", "127.0.0.1")


class RecordedJournal(dict[str, Mapping]):
    """A journal in memory that remembers what it was told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[tuple[str, int | str]] = []
        self.verdicts: dict[str, bool] = {}

    def record(self, mapping: Mapping) -> None:
        self.history.append(("record", mapping.external_port))
        self[mapping.id] = mapping

    def honours(self, network: str) -> bool | None:
        return self.verdicts.get(network)

    def judge(self, network: str, *, honours: bool) -> None:
        self.verdicts[network] = honours

    def erase(self, mapping_id: str) -> None:
        self.history.append(("erase", self[mapping_id].external_port))
        del self[mapping_id]


def requested(port: int = 22, **other: object) -> Mapping:
    values: dict[str, object] = {
        "id": "m1",
        "protocol": "upnp",
        "network": HOME.identity,
        "gateway": HOME.gateway,
        "external_host": "",
        "external_port": port,
        "internal_host": HOME.address,
        "internal_port": 50111,
        "token": "0123456789abcdef0123456789abcdef",
    }
    return Mapping(**(values | other))  # type: ignore[arg-type] # each test names fields of Mapping


@pytest.fixture
async def igd() -> AsyncIterator[FakeIgd]:
    async with FakeIgd() as fake:
        yield fake


@pytest.fixture
def journal() -> RecordedJournal:
    return RecordedJournal()


def upnp_to(igd: FakeIgd, **settings: object) -> UpnpAdapter:
    """An adapter that was told where the router is."""
    given = {"description_url": igd.description_url} | settings
    return UpnpAdapter(strict.read(config.Router, given), lambda: NOW)


def upnp_searching(
    igd: FakeIgd,
    platform: str = "linux",
    mac_of: MacOf = unknown_mac,
    schedule: ssdp.Schedule = ssdp.SCHEDULE,
) -> UpnpAdapter:
    """An adapter that must find the router by SSDP."""
    return UpnpAdapter(
        config.Router(),
        lambda: NOW,
        mac_of,
        ssdp_port=igd.ssdp_port,
        schedule=schedule,
        platform=platform,
    )


GATEWAY_MAC = "02:00:00:00:00:01"


async def the_gateways(_address: str, _interface: str) -> str:
    """The MAC of every neighbour: all are the gateway."""
    return GATEWAY_MAC


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
