"""What a look from outside tells our own door from: another server, a mute one, and nobody."""

from __future__ import annotations

import asyncio

import pytest

from pairingd.world.keyscan import Sight, look
from tests.world.gateway.conftest import free_port

KEY = ("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43)


async def test_nobody_is_where_no_connection_is_taken() -> None:
    assert await look("127.0.0.1", free_port(), *KEY, seconds=1) is Sight.NOBODY


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-another\r\n", b"\0" * 4096])
async def test_whoever_takes_the_connection_and_shows_no_key_of_ours_is_unsure(
    greeting: bytes,
) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await look("127.0.0.1", port, *KEY, seconds=1) is Sight.UNSURE


async def test_no_route_there_says_nothing_of_what_is_there() -> None:
    # TCP connects to no broadcast address: ENETUNREACH, or EACCES.
    assert await look("255.255.255.255", 22, *KEY, seconds=1) is Sight.UNSURE
