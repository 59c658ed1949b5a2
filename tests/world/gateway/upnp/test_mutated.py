"""Answers that were damaged or forged on their way, to a whole adapter. tests/fuzz has the parsers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from pairingd.errors import GatewayError
from tests.fakes.igd import FakeIgd
from tests.fuzz import mutation
from tests.world.gateway.conftest import requested, upnp_to


@asynccontextmanager
async def between(igd: FakeIgd, chance: random.Random) -> AsyncIterator[None]:
    """Within it, what `igd` answers is mutated; its description is at another port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.splitlines()
                    if line.lower().startswith(b"content-length:")
                ),
                0,
            )
            there, back = await asyncio.open_connection(igd.address, port)
            back.write(head + await reader.readexactly(length))
            answer = await there.read()
            back.close()
            top, _, body = answer.partition(b"\r\n\r\n")
            damaged = chance.random() < 0.5
            status = top.splitlines()[0] + b"\r\nConnection: close"
            writer.write(status + b"\r\n\r\n" + (mutation.data(chance, body) if damaged else body))
            await writer.drain()
        writer.close()

    port = igd.port
    server = await asyncio.start_server(serve, igd.address, 0)
    igd.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        igd.port = port
        server.close()


async def test_garbled_answers_of_a_router_are_printable_gateway_errors(
    igd: FakeIgd,
) -> None:
    chance = random.Random("upnp")
    before = psutil.Process().children()
    outcomes: dict[str, str] = {}
    async with between(igd, chance):
        adapter = upnp_to(igd)
        for _ in range(40):
            try:
                granted = await adapter.open(requested(), 600)
                outcomes["granted"] = ""
                await adapter.close(granted)
            except GatewayError as error:
                outcomes[error.code] = error.message + error.hint
    assert "granted" in outcomes
    assert len(outcomes) > 1
    assert "".join(outcomes.values()).isprintable()
    assert psutil.Process().children() == before
