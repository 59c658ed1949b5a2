from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.text import (
    columns,
    for_terminal,
    has_controls,
    is_utf8,
    one_line,
    printable,
    quoted,
)


@given(st.text(), st.integers(1, 200))
def test_one_line_is_printable_short_and_idempotent(text: str, limit: int) -> None:
    once = one_line(text, limit)
    assert once.isprintable()
    assert len(once) <= limit
    assert one_line(once, limit) == once


@given(st.text())
def test_each_unprintable_character_is_replaced_by_one_printable_one(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert [c for c in shown if c in text] == [c for c in text if c.isprintable()]
    assert len(shown) == len(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ssh mark@host", "ssh mark@host"),
        ("one\ntwo\tthree", "one two three"),
        ("\x1b[31mred\x07\u202e", "[31mred"),
        ("é" * 300, "é" * 300),
    ],
)
def test_for_terminal_keeps_all_that_is_printable_on_one_line(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


def test_quoted_escapes_and_shortens() -> None:
    assert quoted("bob") == "'bob'"
    assert quoted("a\x1bb") == r"'a\x1bb'"
    assert quoted("x" * 80) == f"'{'x' * 80}'"
    assert quoted("x" * 81) == f"'{'x' * 79}…'"


@pytest.mark.parametrize(("name", "fits"), [(b"", True), (b"\xc3\xa9", True), (b"a\xff", False)])
def test_bytes_that_are_not_utf_8_are_known_as_such(name: bytes, fits: bool) -> None:
    assert is_utf8(name.decode(errors="surrogateescape")) is fits


@pytest.mark.parametrize("text", ["\0", "a\x1f", "\x7f", "\x80", "b\x9f"])
def test_controls_are_found(text: str) -> None:
    assert has_controls(text)
    assert not has_controls("a ~\xa0é\N{IDEOGRAPHIC SPACE}")


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("octocat", 7), ("cafe\u0301", 4), ("\u30ad\u30fc", 4), ("a\U0001f600", 3)],
)
def test_wide_and_combining_characters_are_counted_as_a_terminal_draws_them(
    text: str, width: int
) -> None:
    assert columns(text) == width
