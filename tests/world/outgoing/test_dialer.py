"""Dialing over real sockets; tests/e2e/test_dial.py has it through NATs."""

from __future__ import annotations

import asyncio
import socket

import pytest

from pairingd.world.outgoing.dialer import PortTaken, connect, dial
from tests.stage import free_port
from tests.waiting import WAIT_S


async def test_dial_connects_as_soon_as_the_peer_listens() -> None:
    ours, theirs = free_port(), free_port()
    dialing = asyncio.create_task(dial(ours, "127.0.0.1", theirs))
    with pytest.raises(TimeoutError):  # refused, and tried again
        await asyncio.wait_for(asyncio.shield(dialing), 0.1)
    with socket.create_server(("127.0.0.1", theirs)):
        async with asyncio.timeout(WAIT_S):
            connected = await dialing
        with connected:
            assert connected.getsockname()[1] == ours
            assert connected.getpeername() == ("127.0.0.1", theirs)


async def test_dial_refuses_a_port_that_another_socket_holds() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(PortTaken):
        await dial(other.getsockname()[1], "127.0.0.1", free_port())


async def test_a_refused_connection_leaves_its_port_free() -> None:
    ours = free_port()
    with pytest.raises(ConnectionRefusedError):
        await connect(ours, "127.0.0.1", free_port())
    with socket.create_server(("127.0.0.1", ours)):
        pass
