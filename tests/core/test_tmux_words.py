from __future__ import annotations

import pytest

from pairingd.core.tmux_words import argument, drawn, keys_that_detach, literal


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


@pytest.mark.parametrize(
    ("prefix", "bindings", "keys"),
    [
        ("C-b", ["d                 detach-client"], "Ctrl-b d"),
        ("M-Space", ["x     detach-client", "y     detach-client"], "Alt-Space x"),
        ("`", ["C-d   detach-client", "d     detach-client"], "` d"),
        ("F12", ["M-C-d detach-client"], "F12 Alt-Ctrl-d"),
        ("C-b", ['\\"    detach-client'], 'Ctrl-b "'),
        ("C-b", ["d     detach-client -a", "q   kill-server"], ""),
        ("C-b", [], ""),
        ("None", ["d     detach-client"], ""),
    ],
)
def test_the_keys_that_leave_are_those_that_are_bound(
    prefix: str, bindings: list[str], keys: str
) -> None:
    printed = "".join(
        f"bind-key    -T prefix       {line}\n" for line in ["c new-window", *bindings]
    )
    assert keys_that_detach(prefix, printed) == keys
