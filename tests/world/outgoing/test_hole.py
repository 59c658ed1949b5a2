"""A connection to a STUN server that is kept, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from pairingd.world.outgoing import stun
from pairingd.world.outgoing.hole import Hole
from tests.fakes.stun import FakeStun
from tests.stage import free_port
from tests.waiting import WAIT_S

TRANSACTION = bytes(range(12))


@asynccontextmanager
async def kept(
    server: tuple[str, int], port: int, **pauses: float
) -> AsyncIterator[tuple[Hole, asyncio.Event]]:
    changed = asyncio.Event()
    hole = Hole(server, port, changed.set, **pauses)
    task = asyncio.create_task(hole.run())
    try:
        yield hole, changed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def becomes(hole: Hole, changed: asyncio.Event, fits: Callable[[Hole], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not fits(hole):
            await changed.wait()
            changed.clear()


async def test_the_hole_is_seen_at_its_source_port() -> None:
    port = free_port()
    async with FakeStun() as server, kept(server.address, port) as (hole, changed):
        await becomes(hole, changed, lambda hole: hole.outside)
        assert hole.outside == ("127.0.0.1", port)
        assert not hole.failure
        assert hole.answered.is_set()


async def test_another_connection_from_the_same_port_is_possible() -> None:
    port = free_port()
    async with (
        FakeStun() as server,
        FakeStun() as other,
        kept(server.address, port) as (first, first_changed),
        kept(other.address, port) as (second, second_changed),
    ):
        await becomes(first, first_changed, lambda hole: hole.outside)
        await becomes(second, second_changed, lambda hole: hole.outside)


async def test_the_hole_can_be_re_created_at_once_from_the_same_port() -> None:
    port = free_port()
    async with FakeStun() as server:
        for _ in range(2):
            async with kept(server.address, port) as (hole, changed):
                await becomes(hole, changed, lambda hole: hole.outside)


async def test_an_unreachable_server_is_a_failure() -> None:
    async with kept(("127.0.0.1", free_port()), free_port()) as (hole, changed):
        await becomes(hole, changed, lambda hole: hole.failure)
        assert hole.outside is None
        assert hole.answered.is_set()


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(20), bytes(64)])
async def test_an_invalid_answer_is_a_failure(reply: bytes) -> None:
    async with (
        FakeStun(reply=reply) as server,
        kept(server.address, free_port()) as (hole, changed),
    ):
        await becomes(hole, changed, lambda hole: hole.failure)
        assert "its answer is none" in hole.failure


async def test_a_server_that_closes_after_its_answer_is_no_failure() -> None:
    async with FakeStun() as server:
        server.closes = True
        async with kept(server.address, free_port()) as (hole, changed):
            await becomes(hole, changed, lambda hole: hole.outside)
            assert not hole.failure


async def test_a_server_that_closes_without_an_answer_sees_the_hole_no_more() -> None:
    async with FakeStun() as server:
        server.closes = True
        async with kept(server.address, free_port(), closed_pause_s=0.05) as (hole, changed):
            await becomes(hole, changed, lambda hole: hole.outside)
            server.reply = b""
            await becomes(hole, changed, lambda hole: hole.failure)
            assert hole.failure == "it closes the connection without an answer"
            assert hole.outside is None


def answer(attributes: bytes, *, kind: int = 0x0101, transaction: bytes = TRANSACTION) -> bytes:
    return struct.pack(">HHI12s", kind, len(attributes), 0x2112A442, transaction) + attributes


def decoded(data: bytes) -> tuple[str, int]:
    length = stun.body_length(data[: stun.HEADER_BYTES], TRANSACTION)
    body = data[stun.HEADER_BYTES :]
    assert len(body) == length
    return stun.mapped_address(body, TRANSACTION)


PLAIN = struct.pack(">HHBBH4s", 1, 8, 0, 1, 40022, socket.inet_aton("203.0.113.1"))
XOR = bytes.fromhex("0020000800012147e112a643")  # RFC 5769 §2.2: 192.0.2.1:32853, with a1 47
XOR = bytes.fromhex("002000080001a147e112a643")


@pytest.mark.parametrize(
    ("attributes", "seen"),
    [
        (PLAIN, ("203.0.113.1", 40022)),
        (XOR, ("192.0.2.1", 32853)),
        (PLAIN + XOR, ("192.0.2.1", 32853)),
        (bytes.fromhex("8022000361626300") + PLAIN, ("203.0.113.1", 40022)),
    ],
)
def test_the_address_is_read(attributes: bytes, seen: tuple[str, int]) -> None:
    assert decoded(answer(attributes)) == seen


@pytest.mark.parametrize(
    "data",
    [
        answer(PLAIN)[:19],
        answer(PLAIN, kind=0x0111),
        answer(PLAIN, transaction=bytes(12)),
        answer(b""),
        answer(b"\0\1\0\x04\0\1\0\0"),
        answer(b"\0\1\0\x40\0\1\0\0"),
        answer(struct.pack(">HHBBH4s", 1, 8, 0, 1, 0, bytes(4))),
        answer(struct.pack(">HHBBH4s", 1, 8, 0, 7, 9, bytes(4))),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(stun.BadAnswer):
        decoded(data)
