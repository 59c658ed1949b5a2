"""An announcement is a reason to ask the gateway, and proves nothing.

Real multicast on loopback. Two who listen get each datagram in one round of the loop, so what
one of them has heard the other has had.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from pairingd.world.gateway.pxp import announcements
from pairingd.world.gateway.pxp.announcements import listen
from tests.fakes.pxp import FakePxp
from tests.loopback import needs_second_address
from tests.waiting import WAIT_S
from tests.world.gateway.conftest import free_port

pytestmark = [
    needs_second_address,
    pytest.mark.skipif(sys.platform == "darwin", reason="loopback has no multicast of its own"),
]

GATEWAY, OTHER = "127.0.0.1", "127.0.0.2"
NEW_ADDRESS = bytes.fromhex("0080 0000 00000000 05050502")  # NAT-PMP's


class Ears:
    """Counts what was heard."""

    def __init__(self) -> None:
        self.times = 0
        self._more = asyncio.Event()

    def __call__(self) -> None:
        self.times += 1
        self._more.set()

    async def hear(self) -> None:
        """Wait until something was heard after the last such call."""
        async with asyncio.timeout(WAIT_S):
            await self._more.wait()
        self._more.clear()


@pytest.fixture
async def gateway() -> AsyncIterator[FakePxp]:
    async with FakePxp(address=GATEWAY) as fake:
        yield fake


@pytest.fixture
async def other() -> AsyncIterator[FakePxp]:
    async with FakePxp(address=OTHER) as fake:
        yield fake


@pytest.mark.parametrize("announcement", [None, NEW_ADDRESS], ids=["PCP", "NAT-PMP"])
async def test_an_announcement_of_the_gateway_is_received(
    gateway: FakePxp, announcement: bytes | None
) -> None:
    heard, port = Ears(), free_port()
    with listen(GATEWAY, GATEWAY, heard, port=port):
        gateway.announces(port, announcement)
        await heard.hear()
    assert heard.times == 1


async def test_announcements_of_another_machine_and_invalid_ones_are_ignored(
    gateway: FakePxp, other: FakePxp
) -> None:
    heard, reference, port = Ears(), Ears(), free_port()
    with (
        listen(GATEWAY, GATEWAY, heard, port=port),
        listen(OTHER, GATEWAY, reference, port=port),
    ):
        for datagram in (b"", b"\0", b"\xff" * 24, b"\2" * 1400, bytes(24), NEW_ADDRESS[:8]):
            gateway.announces(port, datagram)
        other.announces(port)
        await reference.hear()
    assert heard.times == 0


@pytest.mark.attack(
    "a device announces the router's restart without end", "the router is asked once in ten seconds"
)
async def test_a_flood_is_one_announcement(gateway: FakePxp) -> None:
    heard, reference, port = Ears(), Ears(), free_port()
    with listen(GATEWAY, GATEWAY, heard, port=port):
        for _ in range(3 * announcements._MAX_DATAGRAMS):
            gateway.announces(port)
        await heard.hear()
        with listen(GATEWAY, GATEWAY, reference, port=port):
            gateway.announces(port)
            await reference.hear()
    assert heard.times == 1


async def test_after_a_while_it_listens_again(
    gateway: FakePxp,
) -> None:
    heard, port = Ears(), free_port()
    with listen(GATEWAY, GATEWAY, heard, port=port, pause_s=0.01):
        for _ in range(2):
            gateway.announces(port)
            await heard.hear()


async def test_after_listening_nothing_is_received_and_the_port_is_free(gateway: FakePxp) -> None:
    heard, reference, port = Ears(), Ears(), free_port()
    with listen(GATEWAY, GATEWAY, heard, port=port):
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exclusive:
        exclusive.bind(("224.0.0.1", port))
    with listen(GATEWAY, GATEWAY, reference, port=port):
        gateway.announces(port)
        await reference.hear()
    assert heard.times == 0


async def test_a_port_that_another_program_holds_exclusively_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as greedy:
        greedy.bind(("", 0))
        with (
            caplog.at_level(logging.DEBUG, logger="pairingd"),
            listen(GATEWAY, GATEWAY, Ears(), port=greedy.getsockname()[1]),
        ):
            pass
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert "Address already in use" in record.getMessage()


async def test_listening_at_an_address_that_is_no_longer_ours_is_no_error() -> None:
    with listen(GATEWAY, "198.51.100.1", Ears(), port=free_port()):
        pass
