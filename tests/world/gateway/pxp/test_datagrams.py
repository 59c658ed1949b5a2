"""A request to the gateway over UDP, and which answers count."""

import asyncio
import errno
import socket
from collections.abc import Sequence

import pytest

from pairingd.errors import GatewayError
from pairingd.world.gateway.pxp.codec import ProtocolError
from pairingd.world.gateway.pxp.datagrams import Datagrams, explained, send_one
from tests.fakes.pxp import FakePxp, garbage, has_ipv6_loopback, silence
from tests.waiting import WAIT_S

GATEWAY = SOURCE = "127.0.0.1"
needs_ipv6 = pytest.mark.skipif(not has_ipv6_loopback(), reason="no ::1 on this machine")
QUICK = (0.02, 0.02, 0.02, 0.02)


def whole(reply: bytes) -> bytes:
    """A decoder that takes the NAT-PMP address response and nothing else."""
    if len(reply) != 12:
        raise ProtocolError(f"{len(reply)} bytes")
    return reply


def udp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


async def ask(gateway: FakePxp, waits: Sequence[float] = (2.0,)) -> bytes:
    return await Datagrams(gateway.port).exchange(GATEWAY, SOURCE, b"\0\0", whole, waits)


async def test_an_answer_ends_the_asking() -> None:
    async with FakePxp() as gateway:
        assert (await ask(gateway))[8:] == bytes([5, 5, 5, 1])
        assert gateway.packets == [b"\0\0"]


async def test_a_lost_packet_is_sent_again() -> None:
    async with FakePxp() as gateway:
        gateway.twists = [silence, silence]
        await ask(gateway, (0.02, 0.02, 2.0))
        assert gateway.packets == [b"\0\0"] * 3


async def test_silence_is_named_after_the_last_wait() -> None:
    async with FakePxp() as gateway:
        gateway.twist = silence
        with pytest.raises(GatewayError) as raised:
            await ask(gateway, QUICK)
        assert raised.value.code == "router-silent"
        assert len(gateway.packets) == len(QUICK)


async def test_retransmissions_are_spread_by_a_tenth() -> None:
    """RFC 6887 §8.1.1: by a tenth, anew for each sending. Here each wait is made none."""
    spread: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        spread.append((low, high))
        return 0.0

    async with FakePxp() as gateway:
        gateway.twist = silence
        with pytest.raises(GatewayError):
            async with asyncio.timeout(WAIT_S):
                await Datagrams(gateway.port, uniform=uniform).exchange(
                    GATEWAY, SOURCE, b"\0\0", whole, (60.0, 60.0)
                )
    assert spread == [(0.9, 1.1)] * 2


async def test_a_closed_port_is_absent_at_once() -> None:
    with udp() as unused:
        unused.bind((GATEWAY, 0))
        port = unused.getsockname()[1]
    with pytest.raises(GatewayError) as raised:
        await Datagrams(port).exchange(GATEWAY, SOURCE, b"\0\0", whole, (60.0,))
    assert raised.value.code == "no-gateway"


async def test_replies_that_do_not_match_are_ignored() -> None:
    async with FakePxp() as gateway:
        gateway.twist = lambda request, reply: [*garbage(request, reply), reply]
        assert len(await ask(gateway)) == 12
        assert len(gateway.packets) == 1


async def test_garbage_alone_is_silence() -> None:
    async with FakePxp() as gateway:
        gateway.twist = garbage
        with pytest.raises(GatewayError) as raised:
            await ask(gateway, QUICK)
        assert raised.value.code == "router-silent"
        assert len(gateway.packets) == len(QUICK)


async def test_a_flood_of_replies_ends_the_asking() -> None:
    async with FakePxp() as gateway:
        gateway.twist = lambda _request, _reply: [b"\0"] * 64
        with pytest.raises(GatewayError) as raised:
            await ask(gateway, (60.0, 60.0))
        assert raised.value.code == "router-silent"


async def test_replies_larger_than_any_message_are_cut_off() -> None:
    sizes: list[int] = []

    def measured(reply: bytes) -> bytes:
        sizes.append(len(reply))
        return reply

    async with FakePxp() as gateway:
        gateway.twist = lambda _request, _reply: [bytes(40_000)]
        await Datagrams(gateway.port).exchange(GATEWAY, SOURCE, b"\0\0", measured, (2.0,))
    assert sizes == [1101]


@pytest.mark.attack("a device answers PCP or NAT-PMP in the gateway's place", "not seen")
async def test_a_reply_from_another_sender_is_ignored() -> None:
    with udp() as gateway, udp() as stranger:
        gateway.bind((GATEWAY, 0))
        gateway.settimeout(0)
        asking = asyncio.create_task(
            Datagrams(gateway.getsockname()[1]).exchange(GATEWAY, SOURCE, b"\0\0", whole, (5.0,))
        )
        _, asker = await asyncio.get_running_loop().sock_recvfrom(gateway, 100)
        stranger.sendto(b"stranger is.", asker)
        gateway.sendto(b"honest reply", asker)
        assert await asking == b"honest reply"


async def test_requests_to_one_gateway_wait_for_each_other() -> None:
    async with FakePxp() as gateway:
        order: list[bytes] = []

        def slow(request: bytes, _reply: bytes) -> Sequence[bytes]:
            order.append(request)
            return []

        gateway.twists = [slow, slow]
        gateway.twist = lambda request, reply: [order.append(request) or reply]  # type: ignore[func-returns-value]
        datagrams = Datagrams(gateway.port)

        async def say(request: bytes) -> bytes:
            return await datagrams.exchange(GATEWAY, SOURCE, request, whole, (0.02, 0.02, 2.0))

        await asyncio.gather(say(b"\0\0"), say(b"\0\0first was answered"))
        assert order == [b"\0\0", b"\0\0", b"\0\0", b"\0\0first was answered"]


async def test_nothing_is_sent_from_an_address_that_is_no_longer_ours() -> None:
    async with FakePxp() as gateway:
        with pytest.raises(GatewayError) as raised:
            await Datagrams(gateway.port).exchange(GATEWAY, "198.51.100.7", b"\0\0", whole)
        assert raised.value.code == "router-silent"
        assert gateway.packets == []


@needs_ipv6
async def test_a_request_over_ipv6_is_answered() -> None:
    async with FakePxp(address="::1") as gateway:
        reply = await Datagrams(gateway.port).exchange("::1", "::1", b"\0\0", whole)
        assert reply[8:] == bytes([5, 5, 5, 1])


def test_a_refused_local_network_is_not_taken_for_no_router() -> None:
    denied = explained(OSError(errno.EHOSTUNREACH, "No route to host"), GATEWAY, "darwin")
    assert denied.code == "local-network-denied"
    assert "Local Network" in denied.hint
    assert explained(OSError(errno.EHOSTUNREACH, "x"), GATEWAY, "linux").code == "router-silent"


def test_send_one_requests_the_external_address_without_waiting() -> None:
    with udp() as gateway:
        gateway.bind((GATEWAY, 0))
        gateway.settimeout(WAIT_S)
        assert send_one(GATEWAY, gateway.getsockname()[1]) is None
        assert gateway.recv(100) == b"\0\0"


def test_send_one_returns_the_error_of_the_system() -> None:
    refused = send_one("255.255.255.255")  # SO_BROADCAST is not set
    assert refused is not None
    assert refused.errno in {errno.EACCES, errno.ENETUNREACH}  # the latter without any network
