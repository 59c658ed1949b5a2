"""What a router's XML may do to its reader: nothing, but be refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway.upnp.markup import BadAnswer, elements

tags = st.sampled_from(["service", "u:controlURL", "u:DoResponse", "Fault", "errorCode", "x"])
scraps = st.sampled_from(["http://[", "\x00", "&l9;", "&", "<![CDATA[", "%25", "a" * 999, "<!"])
bodies = st.recursive(
    st.text(max_size=20) | scraps,
    lambda inner: st.builds("<{0}>{1}</{0}>".format, tags, st.lists(inner).map("".join)),
)


@given(st.text() | bodies | st.binary().map(lambda data: data.decode(errors="replace")))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(BadAnswer):
        assert all(":" not in element.name for element in elements(text))


def test_elements_come_in_their_order_with_the_texts_of_their_children() -> None:
    root, first, second = elements("<a> x <u:b>1</u:b>y<b> 2\n</b></a>")
    assert (root.name, root.text, root.children) == ("a", "x y", {"b": "2"})
    assert (first.name, first.text, first.children) == ("b", "1", {})
    assert second.text == "2"


@pytest.mark.attack("a router's XML brings a document type, however it is spelled", "refused")
@pytest.mark.parametrize("start", ["<!", "<a:!", "</a:!", "<\x01!", "<a:\x01!", "<a\x01:!"])
def test_a_document_type_is_refused_however_it_is_spelled(start: str) -> None:
    entity = f'{start}ENTITY b "bbb">'
    for text in (f"{start}DOCTYPE a [{entity}]><a>&b;</a>", f"{start}DOCTYPE a><a/>"):
        with pytest.raises(BadAnswer):
            elements(text)


def test_an_external_entity_is_refused_before_it_is_resolved() -> None:
    with pytest.raises(BadAnswer, match="document type"):
        elements('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>')


def test_comments_and_cdata_are_read() -> None:
    assert elements("<a><!-- none --><![CDATA[<b>]]></a>")[0].text == "<b>"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("AT&T", "AT&T"),
        ("AT&T &amp; &#65;", "AT&T & A"),
        ("<![CDATA[a&b]]>", "a&b"),
        ("a &amp; b", "a & b"),
        ("&#65;&lt;", "A<"),
        ("Caf&eacute;&nbsp;&reg; &amp; &lt;", "Caf\u00e9\u00a0\u00ae & <"),
        ("a\x01b\x00", "ab"),
        ("\ufffd", "\ufffd"),
    ],
)
def test_names_that_xml_does_not_allow_are_read(written: str, text: str) -> None:
    assert elements(f"<s:a>{written}</s:a>")[0].text == text


@pytest.mark.parametrize("text", ["", "no XML", "<a>", "<a></b>", "<a/><b/>", "<a>&l9;</a>"])
def test_text_that_is_not_xml_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        elements(text)


def test_deep_nesting_is_read() -> None:
    assert len(elements("<a>" * 30000 + "</a>" * 30000)) == 30000
