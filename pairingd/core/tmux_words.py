"""Foreign words in tmux commands, where tmux would act on them."""

from __future__ import annotations

import re

_DETACHES = re.compile(
    r"^bind-key +(?:-r +)?-T prefix +\\?([!-~]{1,20}) +detach-client$", re.MULTILINE
)
_MODIFIERS = {"C-": "Ctrl-", "M-": "Alt-", "S-": "Shift-"}


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


def keys_that_detach(prefix: str, bindings: str) -> str:
    """Return how people call the keys that leave the session, such as `Ctrl-b d`; "" if none do.
    `bindings` is what `list-keys -T prefix` prints.
    """
    keys = _DETACHES.findall(bindings)
    if not keys or prefix in {"", "None"}:
        return ""
    key = "d" if "d" in keys else keys[0]
    return re.sub(r"(?<![^ -])[CMS]-(?=\S)", lambda match: _MODIFIERS[match[0]], f"{prefix} {key}")
