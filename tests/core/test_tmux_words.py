from __future__ import annotations

import pytest

from pairingd.core.tmux_words import argument, drawn, literal


@pytest.mark.parametrize(
    ("word", "argument_"),
    [("a;b", "a;b"), ("a;", "a\\;"), ("a\\;", "a\\\\;"), ("", ""), (";", "\\;")],
)
def test_a_semicolon_that_ends_a_word_ends_no_command(word: str, argument_: str) -> None:
    assert argument(word) == argument_


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ("#(id)#{pid}", "##(id)##{pid}"),
        ("#,##", "##,####"),
        ("##[x]#[", "##[x]#["),
        ("#[#(id)", "#[##(id)"),
        ("%H", "%H"),
    ],
)
def test_a_literal_doubles_each_number_sign_but_those_of_a_style(text: str, format_: str) -> None:
    assert literal(text) == format_


def test_a_drawn_text_has_no_format_style_or_time() -> None:
    assert drawn("#[fg=red]#(id)%H") == "##[fg=red]##(id)%%H"
