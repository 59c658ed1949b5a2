from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.text import one_line, printable


@given(st.text(), st.integers(1, 200))
def test_one_line_is_printable_short_and_left_as_it_is(text: str, limit: int) -> None:
    once = one_line(text, limit)
    assert once.isprintable()
    assert len(once) <= limit
    assert one_line(once, limit) == once


@given(st.text())
def test_what_cannot_be_printed_leaves_a_sign_in_its_place(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert [c for c in shown if c in text] == [c for c in text if c.isprintable()]
    assert len(shown) == len(text)
