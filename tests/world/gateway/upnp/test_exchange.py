"""One HTTP reader for all of UPnP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pairingd.world.gateway.upnp import actions, exchange
from pairingd.world.gateway.upnp.description import describe
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Call, Fault, Service
from tests.fakes.igd import FakeIgd, Quirk
from tests.waiting import WAIT_S
from tests.world.gateway.conftest import free_port

BODY = (
    '<u:GetExternalIPAddressResponse xmlns:u="x"><NewExternalIPAddress>5.5.5.1<'
    "/NewExternalIPAddress></u:GetExternalIPAddressResponse>"
)
REFUSED = "HTTP/1.1 500 Internal Server Error\r\n\r\n"
FAULT = "<s:Fault><errorCode>501</errorCode></s:Fault>"


def get(url: str) -> Call[str]:
    return Call("GET", url, {}, "", str)


async def ask(call: Call[str]) -> str:
    return await exchange.ask(call, "127.0.0.1")


@asynccontextmanager
async def answering(
    *parts: str, keep_open: bool = False, reset: bool = False
) -> AsyncIterator[Call[str]]:
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            await reader.readuntil(b"</s:Envelope>")
            for part in parts:
                writer.write(part.encode())
                await writer.drain()
            if keep_open:
                await reader.read()
            if reset:
                linger = struct.pack("ii", True, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/ctl"
        yield actions.external_address(Service("urn:x:service:WANIPConnection:1", url))
        await asyncio.gather(*filter(None, served))


def spaced(chunk: str) -> str:
    """With an extension, and spaces where a sender may have none (RFC 9112 §7.1.1)."""
    size, _, rest = chunk.partition("\r\n")
    return f"{size.upper()} ; name=value \r\n{rest}"


def chunked(size: int) -> list[str]:
    parts = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    return [f"{len(part):x}\r\n{part}\r\n" for part in parts] + ["0\r\n\r\n"]


LENGTH = f"Content-Length: {len(BODY)}\r\n"
OK = "HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [OK, LENGTH, "\r\n", BODY],
        [OK, "\r\n", BODY],
        ["HTTP/1.0 200 OK\r\n\r\n", BODY],
        [OK, "Transfer-Encoding: chunked\r\n\r\n", *chunked(7)],
        [OK, "Transfer-Encoding: chunked\r\n\r\n", *chunked(1)],
        ["HTTP/1.1 100 Continue\r\n\r\n", OK, LENGTH, "\r\n", BODY],
        [OK, f"Content-Length: {len(BODY) + 9}\r\n\r\n", BODY],
        [OK.replace("\r\n", "\n"), LENGTH.replace("\r\n", "\n"), "\n", BODY],
        [*(OK + LENGTH + "\r\n"), BODY],
        ["HTTP/1.1 500 Internal Server Error\r\n", LENGTH, "\r\n", BODY],
        ["\r\n", OK, LENGTH, "\r\n", BODY],
        [OK.upper().replace("HTTP", "http"), LENGTH.upper(), "\r\n", BODY],
        [OK, LENGTH.replace(":", " :"), "\r\n", BODY],
        [OK, "no field\r\n a fold\r\nX Y: z\r\n", LENGTH, "\r\n", BODY],
        [OK, "Transfer-Encoding: identity\r\n", LENGTH, "\r\n", BODY],
        [OK, LENGTH, "Transfer-Encoding: Chunked\r\n\r\n", *chunked(7)],
        [OK, "Transfer-Encoding: chunked\r\n\r\n", *(spaced(part) for part in chunked(7))],
        [OK, "Transfer-Encoding: chunked\n\n", *(part.replace("\r", "") for part in chunked(7))],
    ],
    ids=[
        *("length", "until the end", "HTTP 1.0", "chunks", "chunks of a byte", "100 first"),
        *("counts wrong", "bare line feeds", "byte by byte", "an answer with status 500"),
        *("a blank line first", "upper and lower case", "a space before the colon", "no fields"),
        *("identity", "chunks and a length", "chunk extensions", "bare line feeds in chunks"),
    ],
)
async def test_an_answer_is_read(parts: list[str]) -> None:
    async with answering(*parts) as call:
        assert await ask(call) == "5.5.5.1"


@pytest.mark.parametrize("length", ["", "-1", "x", "0", "20", "7\r\nContent-Length: 8"])
@pytest.mark.parametrize("keep_open", [True, False])
async def test_a_length_that_is_wrong_is_not_believed(length: str, *, keep_open: bool) -> None:
    head = f"{OK}Content-Length: {length}\r\n\r\n"
    envelope = f"<s:Envelope><s:Body>{BODY}</s:Body></s:Envelope>"
    async with answering(head, envelope, keep_open=keep_open) as call:
        assert await ask(call) == "5.5.5.1"


@pytest.mark.parametrize("rest", ["0\r\n\r\n", f"{OK}\r\n{BODY}"])
async def test_what_follows_an_answer_is_not_read(rest: str) -> None:
    envelope = f"<s:Envelope><s:Body>{BODY}</s:Body></s:Envelope>"
    head = f"{OK}Content-Length: {len(envelope)}\r\n\r\n"
    async with answering(head + envelope + rest) as call:
        assert await ask(call) == "5.5.5.1"


@pytest.mark.parametrize("status", ["204 No Content", "200 OK\r\nContent-Length: 7\r\n\r\nno XML!"])
async def test_an_answer_with_an_end_of_its_own_is_not_waited_for(status: str) -> None:
    async with answering(f"HTTP/1.1 {status}\r\n\r\n", keep_open=True) as call:
        with pytest.raises(BadAnswer):
            await exchange.ask(call, "127.0.0.1", timeout_s=WAIT_S)


async def test_a_connection_that_is_kept_open_is_not_waited_for() -> None:
    async with answering(OK, LENGTH, "\r\n", BODY, keep_open=True) as call:
        assert await ask(call) == "5.5.5.1"


async def test_a_refusal_has_its_code_with_any_http_status() -> None:
    for status in (OK, "HTTP/1.1 500 Internal Server Error\r\n"):
        async with answering(status, "\r\n", FAULT) as call:
            with pytest.raises(Fault) as caught:
                await ask(call)
            assert caught.value.code == 501


@pytest.mark.parametrize(
    "answer",
    [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        OK + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + "\r\nnot XML",
        OK + "\r\n<html/>",
        OK + "\r\n" + BODY[:60],
        OK + "X: " + "x" * 300000,
    ],
)
async def test_an_invalid_answer_is_refused(answer: str) -> None:
    async with answering(answer) as call:
        with pytest.raises(BadAnswer):
            await ask(call)


async def test_silence_is_an_os_error() -> None:
    async with answering() as call:
        with pytest.raises(ConnectionResetError):
            await ask(call)
    gone = call._replace(url=f"http://127.0.0.1:{free_port()}/ctl")
    with pytest.raises(ConnectionRefusedError):
        await ask(gone)


@pytest.mark.parametrize("url", ["http://127.0.0.1/\x01", "http://127.0.0.1/a b", "http://[/x"])
async def test_a_url_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(BadAnswer):
        await ask(get(url))


@pytest.mark.attack("a router's description never ends", "not read to its end")
async def test_a_description_without_an_end_is_not_read_to_its_end() -> None:
    async with FakeIgd(quirks={Quirk.HTTP_ENDLESS}) as router:
        with pytest.raises(BadAnswer, match="256 KiB"):
            await ask(get(router.description_url))


async def test_an_answer_that_arrives_too_slowly_times_out() -> None:
    async with FakeIgd(quirks={Quirk.HTTP_DRIP}) as router, asyncio.timeout(WAIT_S):
        with pytest.raises(TimeoutError):
            await exchange.ask(describe(router.description_url), "127.0.0.1", timeout_s=0.5)


@pytest.mark.parametrize(
    "head",
    [
        REFUSED,
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 400\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        OK + "Content-Length: 0\r\n\r\n",
        OK + "\r\n",
    ],
)
@pytest.mark.parametrize("keep_open", [True, False])
async def test_an_answer_without_a_body_is_an_answer(head: str, *, keep_open: bool) -> None:
    async with answering(head, keep_open=keep_open) as call:
        with pytest.raises(BadAnswer):
            await exchange.ask(call, "127.0.0.1", timeout_s=2)


@pytest.mark.parametrize("head", [REFUSED, OK + "\r\n"])
async def test_an_answer_without_a_body_is_an_answer_also_before_a_reset(head: str) -> None:
    """A server that closes the connection with a request unread resets it."""
    async with answering(head, reset=True) as call:
        with pytest.raises(BadAnswer):
            await ask(call)


@pytest.mark.parametrize("head", [OK, OK + "Content-Length: 4000\r\n"])
@pytest.mark.parametrize("prefix", ["s:", "SOAP-ENV:", ""])
async def test_an_answer_whose_length_is_not_known_ends_with_its_element(
    head: str, prefix: str
) -> None:
    envelope = f"<{prefix}Envelope><{prefix}Body>{BODY}</{prefix}Body></{prefix}Envelope>\r\n"
    async with answering(head + "\r\n", envelope, keep_open=True) as call:
        assert await ask(call) == "5.5.5.1"


async def test_a_record_has_both_sides() -> None:
    lines: list[tuple[str, str]] = []
    async with answering(OK, LENGTH, "\r\n", BODY) as call:
        await exchange.ask(call, "127.0.0.1", lambda sign, text: lines.append((sign, text)))
    assert [sign for sign, _ in lines] == [">", ">", "<", "<"]
    assert lines[0][1].startswith(f"POST {call.url} ")
    assert lines[2:] == [("<", "200"), ("<", BODY)]


async def test_a_request_names_its_host_and_its_target() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write((OK + "\r\n" + BODY).encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await ask(get(f"http://127.0.0.1:{port}/d.xml?2"))
    assert heads[0].startswith(b"GET /d.xml?2 HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{port}\r\n".encode() in heads[0].lower()
