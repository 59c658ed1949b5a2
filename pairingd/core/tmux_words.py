"""Foreign words in tmux commands, where tmux would act on them."""

from __future__ import annotations

import re


def argument(word: str) -> str:
    """Return `word` as one argument: tmux takes a `;` at its end for the end of the command
    (tmux(1), COMMAND PARSING AND EXECUTION).
    """
    return f"{word[:-1]}\\;" if word.endswith(";") else word


def literal(text: str) -> str:
    """Return a format that expands to `text` (tmux(1), FORMATS). Tmux leaves each run of `#` before
    a `[` as it is, for a style (measured, tmux 3.3a and 3.8).
    """
    return re.sub(r"#+(?![#\[])", r"\g<0>\g<0>", text)


def drawn(text: str) -> str:
    """Return a format that is shown as `text`, where tmux draws styles (STYLES) and expands
    strftime(3).
    """
    return text.replace("#", "##").replace("%", "%%")
