"""What a router's XML may do to its reader: nothing, but be refused."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway.upnp import soap as igd
from tests.fakes.igd import FakeIgd, Quirk

URL = "http://[2001:db8::1]:5000/rootDesc.xml"
CONTROL = "http://[2001:db8::1]:5000/ctl"

described = ["service", "serviceType", "controlURL", "URLBase", "u:service", "x"]
answered = ["u:DoResponse", "Fault", "errorCode"]
tags = st.sampled_from(described + answered)
scraps = st.sampled_from(["http://[", "//other/", "\x00", "&l9;", "<![CDATA[", "%25", "a" * 999])
bodies = st.recursive(
    st.text(max_size=20) | scraps,
    lambda inner: st.builds("<{0}>{1}</{0}>".format, tags, st.lists(inner).map("".join)),
)


@given(st.text() | bodies | st.binary().map(lambda data: data.decode(errors="replace")))
def test_no_description_raises_anything_else(text: str) -> None:
    with contextlib.suppress(*igd.FAILURES):
        assert all(
            urlsplit(one.control_url).hostname == "2001:db8::1" and one.type.isprintable()
            for one in igd._services(igd._xml(text), URL)
        )


@given(st.text() | bodies)
def test_no_answer_to_an_action_raises_anything_else(text: str) -> None:
    with contextlib.suppress(igd.Strange, igd.Fault):
        igd._answer(text, "Do")


@pytest.mark.parametrize(("code", "told"), [("606", 606), ("", 0), ("x", 0), ("7" * 5000, 0)])
def test_a_fault_has_a_code_or_none(code: str, told: int) -> None:
    with pytest.raises(igd.Fault) as raised:
        igd._answer(f"<s:Fault><errorCode>{code}</errorCode></s:Fault>", "Do")
    assert raised.value.code == told


def test_what_is_looked_at_has_an_end() -> None:
    one = "<service><controlURL>/ctl</controlURL></service>"
    assert len(list(igd._services(igd._xml(f"<a>{one * 1000}</a>"), URL))) == 64
    with pytest.raises(igd.Strange):
        list(igd._services(igd._xml(f"<a><URLBase>{URL}{'x' * 512}</URLBase>{one}</a>"), URL))


def test_a_service_is_told_by_its_own_children() -> None:
    """Looked for any deeper, services within services would cost the square of their number."""
    inner = "<service><serviceType>urn:x</serviceType></service>"
    found = igd._services(igd._xml(f"<service><list>{inner}</list></service>"), URL)
    assert [one.type for one in found] == ["", "urn:x"]


@pytest.mark.parametrize("start", ["<!", "<a:!", "</a:!", "<\x01!", "<a:\x01!", "<a\x01:!"])
def test_a_document_type_is_refused_however_it_is_spelled(start: str) -> None:
    entity = f'{start}ENTITY b "bbb">'
    for text in (f"{start}DOCTYPE a [{entity}]><a>&b;</a>", f"{start}DOCTYPE a><a/>"):
        with pytest.raises(igd.Strange):
            igd._xml(text)


def test_comments_and_cdata_are_read() -> None:
    assert igd._xml("<a><!-- none --><![CDATA[<b>]]></a>").text == "<b>"


def test_a_control_url_elsewhere_is_refused() -> None:
    service = "<service><serviceType>urn:x</serviceType><controlURL>{}</controlURL></service>"
    with pytest.raises(igd.Strange):
        list(igd._services(igd._xml(f"<a>{service.format('//other/ctl')}</a>"), URL))
    assert list(igd._services(igd._xml(service.format("/ctl")), URL)) == [
        igd.Service("urn:x", CONTROL)
    ]


async def test_a_description_without_an_end_is_not_read_to_its_end() -> None:
    async with FakeIgd(quirks={Quirk.HTTP_ENDLESS}) as router, igd.client("127.0.0.1") as client:
        with pytest.raises(igd.Strange, match="256 KiB"):
            await igd.Igd.at(router.description_url, client)
