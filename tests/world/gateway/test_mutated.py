"""Answers that were damaged or forged on their way, to every parser: bounded runs, a fixed seed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import psutil
import pytest

from pairingd.errors import GatewayError
from pairingd.world.gateway import igd as soap
from pairingd.world.gateway import natpmp, pcp, ssdp
from pairingd.world.gateway.codec import ProtocolError
from tests.fakes.igd import FakeIgd
from tests.world.gateway.conftest import upnp_to, wanted

OURS = IPv4Address("192.168.1.10")
MAP = pcp.MapRequest(OURS, bytes(12), 50111, 22, IPv4Address(0), 600)
DESCRIPTION = (
    b'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>'
    b"<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>"
    b"<controlURL>/ctl</controlURL></service></serviceList></device></root>"
)
ANSWER = (
    b'<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<u:GetFirewallStatusResponse xmlns:u="urn:schemas-upnp-org:service:WANIPv6FirewallControl:1">'
    b"<FirewallEnabled>1</FirewallEnabled></u:GetFirewallStatusResponse></s:Body></s:Envelope>"
)
FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><detail>'
    b"<UPnPError><errorCode>606</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>"
)
LOCATION = "http://192.168.1.1:5000/rootDesc.xml"
REPLY = (
    f"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
    f"LOCATION: {LOCATION}\r\n\r\n"
).encode()


def services(data: bytes) -> object:
    return list(soap._services(soap._xml(data.decode(errors="replace")), LOCATION))


def answer(data: bytes) -> object:
    return soap._answer(data.decode(errors="replace"), "GetFirewallStatus")


PARSERS: dict[str, tuple[bytes, tuple[type[Exception], ...], Callable[[bytes], object]]] = {
    "pcp map": (b"\2\x81" + bytes(58), (ProtocolError,), MAP.decode),
    "pcp announcement": (b"\2\x80" + bytes(22), (ProtocolError,), pcp.announced),
    "natpmp map": (
        b"\0\x82" + bytes(14),
        (ProtocolError,),
        natpmp.MapRequest(50111, 22, 600).decode,
    ),
    "natpmp announcement": (b"\0\x80" + bytes(10), (ProtocolError,), natpmp.announced),
    "ssdp": (REPLY, (), ssdp.parse),
    "description": (DESCRIPTION, soap.FAILURES, services),
    "soap answer": (ANSWER, (soap.Strange, soap.Fault), answer),
    "soap fault": (FAULT, (soap.Strange, soap.Fault), answer),
}


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut out, doubled, or another's put in."""
    result = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        here = chance.randrange(len(result) + 1)
        there = min(len(result), here + chance.randrange(40))
        match chance.randrange(5):
            case 0:
                result[here:there] = b""
            case 1:
                result[here:here] = result[here:there] * chance.randrange(1, 30)
            case 2:
                result[here:here] = chance.choice([b"\0", b"<", b"&#0;", b"\r\n", b"\xff", b"]]>"])
            case 3:
                result[here:there] = chance.randbytes(there - here)
            case _:
                result[here:] = b""
    return bytes(result)


@pytest.mark.parametrize("name", PARSERS)
def test_no_answer_raises_anything_else_or_leaves_memory_behind(name: str) -> None:
    whole, declared, parse = PARSERS[name]
    chance = random.Random(name)

    def turns(count: int) -> int:
        for _ in range(count):
            with contextlib.suppress(*declared):
                parse(mutated(chance, whole))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = turns(300)
        assert turns(2000) - before < 64 * 1024
    finally:
        tracemalloc.stop()


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
            writer.write(status + b"\r\n\r\n" + (mutated(chance, body) if damaged else body))
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


async def test_a_router_that_is_garbled_on_the_way_fails_by_name_and_leaves_nothing(
    igd: FakeIgd,
) -> None:
    chance = random.Random("upnp")
    outcomes: dict[str, str] = {}
    async with between(igd, chance):
        adapter = upnp_to(igd)
        for _ in range(40):
            try:
                granted = await adapter.open(wanted(), 600)
                outcomes["granted"] = ""
                await adapter.close(granted)
            except GatewayError as error:
                outcomes[error.code] = error.message + error.hint
    assert "granted" in outcomes
    assert len(outcomes) > 1
    assert "".join(outcomes.values()).isprintable()
    assert psutil.Process().children() == []
