from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway import ssdp

IGD = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"


def reply(location: str, kind: str = IGD, status: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{status}\r\nCACHE-CONTROL: max-age=120\r\nst: {kind}\r\nLocation: {location}\r\n\r\n".encode()


def test_a_gateways_reply() -> None:
    url = "http://192.168.1.1:5000/rootDesc.xml"
    assert ssdp.parse(reply(url)) == ssdp.Reply(url, is_gateway=True)


def test_another_device_is_told_from_a_gateway() -> None:
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
def test_a_location_that_must_not_be_asked(location: str) -> None:
    assert ssdp.parse(reply(location)) is None


def test_what_is_no_reply() -> None:
    url = "http://192.168.1.1/x"
    assert ssdp.parse(reply(url, status="NOTIFY * HTTP/1.1")) is None
    assert ssdp.parse(reply(url, status="HTTP/1.1 404 Not Found")) is None
    assert ssdp.parse(reply(url) + b"x" * 1500) is None


def test_a_location_is_repointed_at_the_gateway() -> None:
    for location in ("http://10.0.0.9:5000/a?b", "http://router.example:5000/a?b"):
        assert ssdp.repointed(location, "192.168.1.1") == "http://192.168.1.1:5000/a?b"
    assert ssdp.repointed("http://10.0.0.9/", "192.168.1.1") == "http://192.168.1.1/"


@given(st.binary(max_size=1600))
def test_no_datagram_raises(datagram: bytes) -> None:
    ssdp.parse(datagram)
    ssdp.parse(b"HTTP/1.1 200 OK\r\nLOCATION: http://" + datagram)


class FromAnotherPort(asyncio.DatagramProtocol):
    """A router that answers each search from a socket of its own (TP-Link ER605)."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as odd:
            odd.bind(("127.0.0.1", 0))
            odd.sendto(reply("http://127.0.0.1:5000/rootDesc.xml"), addr)


async def test_a_reply_from_an_odd_port_is_heard() -> None:
    loop = asyncio.get_running_loop()
    router, _ = await loop.create_datagram_endpoint(FromAnotherPort, local_addr=("127.0.0.1", 0))
    port = router.get_extra_info("sockname")[1]
    found, error = await ssdp.search("127.0.0.1", "127.0.0.1", lambda _host: False, port)
    router.close()
    assert (found, error) == (["http://127.0.0.1:5000/rootDesc.xml"], None)
