from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway.upnp import ssdp
from pairingd.world.gateway.upnp.location import repointed
from tests.waiting import WAIT_S

IGD = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"


def reply(location: str, kind: str = IGD, status: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{status}\r\nCACHE-CONTROL: max-age=120\r\nst: {kind}\r\nLocation: {location}\r\n\r\n".encode()


def test_a_gateways_reply() -> None:
    url = "http://192.168.1.1:5000/rootDesc.xml"
    assert ssdp.parse(reply(url)) == ssdp.Reply(url, is_gateway=True)


def test_another_device_is_not_taken_for_a_gateway() -> None:
    heard = ssdp.parse(reply("http://192.168.1.7/tv.xml", "upnp:rootdevice"))
    assert heard is not None
    assert not heard.is_gateway


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://192.168.1.1/x",
        "file:///etc/passwd",
        "http://user@192.168.1.1/x",
        "http://192.168.1.1:port/x",
        "http://192.168.1.1:99999/x",
        "http://192.168.1.1/a b",
        "http://192.168.1.1/\x1b[31m",
        "http://[::1/x",
        "http://192.168.1.1/" + "a" * 600,
    ],
)
def test_a_reply_with_an_unusable_location_is_ignored(location: str) -> None:
    assert ssdp.parse(reply(location)) is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"HTTP/1.1 200 OK\nST: {kind}\nLOCATION: {url}\n\n",
        b"HTTP/1.0 200 OK\r\nST: {kind}\r\nLOCATION: {url}\r\n\r\n",
        b"http/1.1 200\r\nst:{kind}\r\nlocation:{url}\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSERVER: Router\xae 2.0, caf\xc3\xa9\r\nST: {kind}\r\nLOCATION: {url}\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nUSN: uuid:\xff\xfe\x80::{kind}\r\nLOCATION:\t{url}  \r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nST: {kind}\r\nLOCATION: {url}\0",
        b"HTTP/1.1 200 OK\r\nST: {kind}\nLOCATION: {url}\r\rEXT:",
    ],
    ids=[
        *("bare line feeds", "HTTP 1.0", "lower case", "beyond ASCII", "no text at all"),
        *("cut, with a NUL", "mixed line ends"),
    ],
)
def test_a_gateway_s_reply_is_read_however_it_is_written(datagram: bytes) -> None:
    url = "http://192.168.1.1:5000/rootDesc.xml"
    written = datagram.replace(b"{kind}", IGD.encode()).replace(b"{url}", url.encode())
    assert ssdp.parse(written) == ssdp.Reply(url, is_gateway=True)


@pytest.mark.parametrize(
    ("path", "asked"), [(b"Ger\xe4t.xml", "Ger%E4t.xml"), ("Gerät.xml".encode(), "Ger%C3%A4t.xml")]
)
def test_bytes_beyond_ascii_in_a_location_are_percent_encoded(path: bytes, asked: str) -> None:
    heard = ssdp.parse(reply("http://192.168.1.1:5000/X").replace(b"X", path))
    assert heard == ssdp.Reply(f"http://192.168.1.1:5000/{asked}", is_gateway=True)


def test_anything_but_a_short_200_reply_is_ignored() -> None:
    url = "http://192.168.1.1/x"
    assert ssdp.parse(reply(url, status="NOTIFY * HTTP/1.1")) is None
    assert ssdp.parse(reply(url, status="HTTP/1.1 404 Not Found")) is None
    assert ssdp.parse(reply(url) + b"x" * 1500) is None


def test_a_location_is_repointed_at_the_gateway() -> None:
    for location in ("http://10.0.0.9:5000/a?b", "http://router.example:5000/a?b"):
        assert repointed(location, "192.168.1.1") == "http://192.168.1.1:5000/a?b"
    assert repointed("http://10.0.0.9/", "192.168.1.1") == "http://192.168.1.1/"


@given(st.binary(max_size=1600))
def test_no_datagram_raises(datagram: bytes) -> None:
    ssdp.parse(datagram)
    ssdp.parse(b"HTTP/1.1 200 OK\r\nLOCATION: http://" + datagram)


ROOT = "http://127.0.0.1:5000/rootDesc.xml"


class Router(asyncio.DatagramProtocol):
    """Answers each M-SEARCH with what `answers` says for its target."""

    def __init__(self, answers: Callable[[str], Sequence[bytes]]) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        target = re.search(r"(?m)^ST: (\S+)", data.decode())
        assert target
        for answer in self._answers(target[1]):
            self.answer(answer, addr)

    def answer(self, answer: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(answer, addr)


class FromAnotherPort(Router):
    def answer(self, answer: bytes, addr: tuple[str, int]) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as odd:
            odd.bind(("127.0.0.1", 0))
            odd.sendto(answer, addr)


def of_a_gateway(target: str) -> Sequence[bytes]:
    return [reply(ROOT, target)] if target == IGD else []


async def heard_from(router: Router, where: str = "127.0.0.1") -> list[str]:
    """The locations that a search hears of which `router`, listening at `where`, answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((where, 0))
        if where == ssdp.MULTICAST:
            member = socket.inet_aton(where) + socket.inet_aton("127.0.0.1")
            listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: router, sock=listening)
        port = listening.getsockname()[1]
        locations, error = await ssdp.search("127.0.0.1", "127.0.0.1", port)
        transport.close()
    # Where the router does not listen, the unicast search is refused.
    assert error is None or isinstance(error, ConnectionRefusedError)
    return locations


async def test_a_reply_from_another_port_is_accepted() -> None:
    """TP-Link ER605."""
    assert await heard_from(FromAnotherPort(of_a_gateway)) == [ROOT]


async def test_a_router_that_answers_only_multicast_is_found() -> None:
    """Eero."""
    assert await heard_from(Router(of_a_gateway), ssdp.MULTICAST) == [ROOT]


async def test_a_router_that_names_to_ssdp_all_another_device_of_its_own_is_found() -> None:
    """Sagemcom, which answers that with its first description alone."""

    def first_alone(target: str) -> Sequence[bytes]:
        if target == "ssdp:all":
            return [reply("http://127.0.0.1:5000/media.xml", "upnp:rootdevice")]
        return of_a_gateway(target)

    assert (await heard_from(Router(first_alone)))[0] == ROOT


async def test_a_router_that_answers_only_ssdp_all_is_found() -> None:
    def answers(target: str) -> Sequence[bytes]:
        return [reply(ROOT, IGD)] if target == "ssdp:all" else []

    assert await heard_from(Router(answers)) == [ROOT]


async def test_two_descriptions_of_one_router_are_found_once_each() -> None:
    """Linksys Velop; each of them is told in answer to each search, whose first answer may end it."""
    other = "http://127.0.0.1:5001/igd2.xml"
    locations = await heard_from(Router(lambda _target: [reply(ROOT, IGD), reply(other, IGD)] * 3))
    assert locations in ([ROOT], [ROOT, other])


async def test_a_router_that_answers_only_unicast_is_found() -> None:
    assert await heard_from(Router(of_a_gateway)) == [ROOT]


@pytest.mark.skipif(sys.platform != "linux", reason="IP_PKTINFO has no name in Python")
async def test_the_gateway_itself_is_asked_first() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("", 0))
        member = socket.inet_aton(ssdp.MULTICAST) + socket.inet_aton("127.0.0.1")
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        listening.setsockopt(socket.IPPROTO_IP, 8, 1)  # ip(7), IP_PKTINFO
        listening.settimeout(WAIT_S)
        port = listening.getsockname()[1]
        brief = ssdp.Schedule((0.0,), 0.05)
        await ssdp.search("127.0.0.1", "127.0.0.1", port, schedule=brief)
        asked = [listening.recvmsg(2000, 100)[1][0][2] for _ in range(6)]
    sent_to = [socket.inet_ntoa(packet_info[8:12]) for packet_info in asked]
    assert sent_to == ["127.0.0.1"] * 3 + [ssdp.MULTICAST] * 3


async def test_a_search_on_an_interface_that_is_gone_leaves_no_socket_open() -> None:
    brief = ssdp.Schedule((0.0,), 0.05)
    before = {path.name for path in Path("/dev/fd").iterdir()}
    locations, error = await ssdp.search("::1", "::1", interface="none0", schedule=brief)
    await asyncio.sleep(0)  # a transport closes with the next turn
    assert (locations, type(error)) == ([], OSError)
    assert {path.name for path in Path("/dev/fd").iterdir()} == before


async def test_a_burst_of_answers_before_the_gateway_s_is_received() -> None:
    others = [reply("http://192.168.1.7/tv.xml", "upnp:rootdevice")] * 600
    heard = await heard_from(Router(lambda target: [*others, *of_a_gateway(target)]))
    assert heard == [ROOT]


async def nobody(_: str) -> bool:
    return False


def search_of(gateway: str) -> ssdp._Search:
    return ssdp._Search("192.168.1.10", gateway, nobody, nobody)


GATEWAY = "192.168.1.1"
AT_GATEWAY = f"http://{GATEWAY}:5000/rootDesc.xml"


@pytest.mark.parametrize("senders", [1, 3, 250, 5000])
@pytest.mark.parametrize(
    "forged",
    [
        "http://192.168.1.{number}:80/tv.xml",
        f"http://{GATEWAY}:{{number}}/dead.xml",
        "http://10.99.0.1:{number}/x.xml",
        "",
    ],
)
async def test_no_crowd_of_others_hides_the_gateway_s_answer(forged: str, senders: int) -> None:
    search = search_of(GATEWAY)
    for number in range(1, 5001):
        sender = f"10.0.{number % senders // 250}.{number % senders % 250}"
        location = forged.format(number=number % 60000)
        search.datagram_received(reply(location), (sender, 1900))
    assert len(search.judging) <= 100
    search.datagram_received(reply(AT_GATEWAY), (GATEWAY, 1900))
    await asyncio.gather(*search.judging.values())
    assert AT_GATEWAY in search.heard


async def test_the_gateway_s_answers_are_listened_to_for_a_while_only() -> None:
    search = search_of(GATEWAY)
    for number in range(5000):
        location = f"http://{GATEWAY}:5000/{number}.xml"
        search.datagram_received(reply(location), (GATEWAY, 1900))
    await asyncio.gather(*search.judging.values())
    assert len(search.heard) == 50


async def test_a_location_that_is_too_long_at_the_gateway_s_address_is_not_kept() -> None:
    """One such would have the control protocol refuse all that were found with it."""
    search = search_of("192.168.178.100")
    head = "http://10.0.0.7/"
    for length in (512, 480):
        datagram = reply(head + "a" * (length - len(head)))
        search.datagram_received(datagram, ("192.168.178.100", 1900))
    await asyncio.gather(*search.judging.values())
    assert [len(location) for location in search.heard] == [487]
