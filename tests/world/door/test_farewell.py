from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from pairingd.core.admission import Refusal
from pairingd.core.ssh_wire import IDENTIFICATION
from pairingd.world.door.farewell import Farewells, message

LONG = 30.0  # seconds


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener


def all_of(client: socket.socket) -> bytes:
    """What it is sent, to the end; a reset raises."""
    client.settimeout(LONG)
    return b"".join(iter(lambda: client.recv(4096), b""))


async def rest(farewells: Farewells) -> None:
    async with asyncio.timeout(LONG):
        while len(farewells):  # noqa: ASYNC110 - nobody tells of its end
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("refusal", list(Refusal))
async def test_the_reason_arrives_even_if_much_of_the_clients_data_is_unread(
    listener: socket.socket, refusal: Refusal
) -> None:
    farewells = Farewells()
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"x" * 100_000)
        accepted, _ = listener.accept()
        farewells.refuse(accepted, refusal)
        client.sendall(b"x")
        received = await asyncio.to_thread(all_of, client)
    assert received == IDENTIFICATION + message(refusal)
    await rest(farewells)
    assert accepted.fileno() == -1


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")
async def test_a_client_that_has_an_sshd_s_line_gets_no_second_one(
    listener: socket.socket,
) -> None:
    farewells = Farewells()
    with socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        accepted.sendall(b"SSH-2.0-OpenSSH\r\n")
        farewells.refuse(accepted, Refusal.NO_RESOURCES)
        received = await asyncio.to_thread(all_of, client)
    assert received == b"SSH-2.0-OpenSSH\r\n" + message(Refusal.NO_RESOURCES)
    await rest(farewells)


async def test_peers_that_never_close_are_closed_and_few_at_a_time(
    listener: socket.socket,
) -> None:
    farewells = Farewells()
    clients, refused = [], []
    for _ in range(100):
        clients.append(socket.create_connection(listener.getsockname()))
        accepted, _ = listener.accept()
        refused.append(accepted)
        farewells.refuse(accepted, Refusal.PUSHED_OUT)
    assert len(farewells) == sum(sock.fileno() >= 0 for sock in refused) == 32
    await rest(farewells)
    assert {sock.fileno() for sock in refused} == {-1}
    for client in clients:
        client.close()


async def test_a_peer_that_is_gone_already_is_no_error(listener: socket.socket) -> None:
    farewells = Farewells()
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    client.close()
    farewells.refuse(accepted, Refusal.PUSHED_OUT)
    await rest(farewells)
    assert accepted.fileno() == -1
