"""What a client sends while it logs in is acknowledged at once."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from pairingd.world.door.acknowledge import Acknowledgements
from tests.waiting import WAIT_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_QUICKACK is Linux's")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's and the server's end of a connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        yield client, server


def converse(client: socket.socket, server: socket.socket) -> None:
    """Question and answer, until the kernel acknowledges a question with its answer only."""
    for _ in range(1000):
        client.send(b"?")
        server.recv(1)
        server.send(b"!")
        client.recv(1)
        if not acknowledges_at_once(server):
            return
    pytest.fail("the kernel never delayed an acknowledgement")


def acknowledges_at_once(server: socket.socket) -> bool:
    if sys.platform != "linux":
        return False
    return bool(server.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))


async def hastened(server: socket.socket) -> None:
    async with asyncio.timeout(WAIT_S):
        while not acknowledges_at_once(server):  # noqa: ASYNC110 - the kernel calls nobody
            await asyncio.sleep(0.001)


async def test_each_answer_of_a_login_leaves_acknowledgements_at_once(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, server = ends
    acknowledgements = Acknowledgements()
    acknowledgements.hasten(server, WAIT_S)
    for _ in range(3):
        converse(client, server)
        await hastened(server)


async def test_a_connection_that_left_or_whose_time_is_over_is_no_longer_hastened(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, server = ends
    acknowledgements = Acknowledgements()
    acknowledgements.hasten(server, WAIT_S)
    acknowledgements.leave(server)
    over = server.dup()
    acknowledgements.hasten(over, 0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = socket.create_connection(listener.getsockname())
        with other, listener.accept()[0] as still:
            acknowledgements.hasten(still, WAIT_S)
            converse(client, server)
            converse(other, still)
            await hastened(still)
    assert not acknowledges_at_once(server)
    over.close()
