from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway.upnp import wan_service
from pairingd.world.gateway.upnp.wan_service import KINDS, Elsewhere, Refused, WanService

URL = "http://192.168.1.1:5000/rootDesc.xml"


def service(kind: str, control: str) -> str:
    told = f"<serviceType>{kind}</serviceType><controlURL>{control}</controlURL>"
    return f"<service>{told}</service>"


def controls(description: str) -> list[str]:
    return [one.control for one in wan_service.described(description, URL)]


def test_the_better_kind_of_service_comes_first() -> None:
    two, one, ppp = KINDS
    told = service(ppp, "/ppp") + service("urn:x", "/x") + service(one, "one") + service(two, "/2")
    at = "http://192.168.1.1:5000"
    assert controls(told) == [f"{at}/2", f"{at}/one", f"{at}/ppp"]


@pytest.mark.parametrize(
    "control",
    [
        "http://192.168.1.9/ctl",
        "http://192.168.1.9:80@192.168.1.1/ctl",
        "http://192.168.1.1@192.168.1.9/ctl",
        "http://192.168.1.1#.example.org/ctl",
        "http://192.168.1.1.example.org/ctl",
        "http://192.168.1.1:80:192.168.1.9/ctl",
        "http://192.168.1.1\\@192.168.1.9/ctl",
        "https://192.168.1.1/ctl",
        "file:///etc/passwd",
        "http://[192.168.1.1/ctl",
    ],
)
def test_a_service_anywhere_else_is_none(control: str) -> None:
    with pytest.raises(Elsewhere):
        controls(service(KINDS[1], control))
    assert controls(service(KINDS[1], control) + service(KINDS[2], "/ppp")) == [
        "http://192.168.1.1:5000/ppp"
    ]


def test_a_base_elsewhere_leads_nowhere() -> None:
    base = "<URLBase>http://192.168.1.9/</URLBase>"
    with pytest.raises(Elsewhere):
        controls(base + service(KINDS[1], "/ctl"))


def test_values_are_read_as_they_were_meant() -> None:
    told = "<u:ActResponse><NewA> a &amp; b </NewA><ns:NewB/><NewC></NewC></u:ActResponse>"
    assert wan_service.answered(told, "Act") == {"NewA": "a & b", "NewC": ""}


@pytest.mark.parametrize(
    ("said", "code"),
    [("<errorCode>714</errorCode>", 714), ("<e:errorCode> 501 </e:errorCode>", 501), ("", 0)],
)
def test_a_refusal_has_its_code(said: str, code: int) -> None:
    with pytest.raises(Refused) as caught:
        wan_service.answered(said, "Act")
    assert caught.value.code == code


def test_a_service_without_an_end_is_none() -> None:
    assert controls("<service>" * 1000 + service(KINDS[0], "/ctl") + "<service>") == [
        "http://192.168.1.1:5000/ctl"
    ]


def test_a_name_may_have_attributes_and_must_have_an_end() -> None:
    told = '<u:ActResponse><NewA dt:dt="ui2">1</NewA><NewB><NewC'
    assert wan_service.answered(told, "Act") == {"NewA": "1"}


@given(st.text() | st.text().map(lambda text: f"ActResponse<service>{text}</service>"))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(Elsewhere):
        controls(text)
    with contextlib.suppress(Refused):
        wan_service.answered(text, "Act")


async def test_an_answer_in_chunks_is_put_together() -> None:
    body = '<u:GetExternalIPAddressResponse xmlns:u="x"><NewExternalIPAddress>5.5.5.1<'
    body += "/NewExternalIPAddress></u:GetExternalIPAddressResponse>"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 7):
            part = body[start : start + 7]
            writer.write(f"{len(part):x}\r\n{part}\r\n".encode())
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        asked = WanService(f"http://127.0.0.1:{port}/ctl", KINDS[1])
        assert await asyncio.to_thread(asked.externalipaddress) == "5.5.5.1"
