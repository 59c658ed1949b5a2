from __future__ import annotations

import asyncio
import json
import sys
import urllib.request

import pytest

from pairingd.world.gateway.upnp import actions
from pairingd.world.gateway.upnp.actions import TCP, Forward
from pairingd.world.gateway.upnp.description import describe
from pairingd.world.gateway.upnp.exchange import ask
from tests.fakes.igd import FakeIgd
from tests.waiting import WAIT_S
from tests.world.gateway.conftest import free_port, requested, upnp_to


async def test_the_program_serves_until_it_is_ended() -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.igd", "--listen", "127.0.0.1"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout
    try:
        ready = json.loads(await program.stdout.readline())
        url = ready["description_url"]
        adapter = upnp_to(FakeIgd(port=ready["port"]))
        port = free_port()
        granted = await adapter.open(requested(port), 600)
        assert granted.external_host == "127.0.0.1"
        [row] = await asyncio.to_thread(mappings, url)
        assert (row["external_port"], row["internal_port"]) == (port, 50111)
        await adapter.close(granted)
        assert await asyncio.to_thread(mappings, url) == []
    finally:
        program.terminate()
        assert await program.wait() == 0


def mappings(description_url: str) -> list[dict[str, object]]:
    with urllib.request.urlopen(description_url.replace("/rootDesc.xml", "/mappings")) as answer:
        table: list[dict[str, object]] = json.load(answer)
    return table


async def test_a_lease_that_is_over_closes_the_port() -> None:
    async with FakeIgd(listen="127.0.0.1") as igd:
        port = free_port()
        [service] = (await ask(describe(igd.description_url), "127.0.0.1")).wan_services
        forward = Forward(port, TCP, "127.0.0.1", 50111, "for a second", 1)
        await ask(actions.add_forward(service, forward), "127.0.0.1")
        async with asyncio.timeout(WAIT_S):
            await igd.emptied.wait()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
