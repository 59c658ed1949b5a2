"""Make foreign text safe for a terminal: remove all that a terminal would act on."""

from __future__ import annotations

_MAX_QUOTED_CHARS = 80
# Also those that word processors and chat programs put in the place of a shell's.
QUOTES = "\"'`<\u2018\u2019\u201a\u201c\u201d\u201e\xab\xbb"


def printable(text: str) -> str:
    """Replace every unprintable character by U+FFFD."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def for_terminal(text: str) -> str:
    """Return `text` on one line of any length, without control and format characters."""
    if text.isprintable():
        return text
    spaced = (" " if c.isspace() else c for c in text)
    return "".join(c for c in spaced if c.isprintable())


def quoted(text: str) -> str:
    """Quote user input for a message: escaped, at most _MAX_QUOTED_CHARS characters."""
    shown = text if len(text) <= _MAX_QUOTED_CHARS else f"{text[: _MAX_QUOTED_CHARS - 1]}…"
    return repr(shown)


def shell(*words: str) -> str:
    """Return a command to print, which a POSIX shell splits into exactly these words. So does zsh,
    which expands `=name` to the path of a command (zshexpn(1), `=` expansion).
    """
    import shlex  # late: most starts of `pairctl` print no command

    return " ".join(f"'{word}'" if _is_zsh_name(word) else shlex.quote(word) for word in words)


def _is_zsh_name(word: str) -> bool:
    return word.startswith("=") and "'" not in word


def one_line(text: str, limit: int) -> str:
    """Return printable characters and single spaces, at most `limit` in all."""
    seen = "".join(c if c.isprintable() else " " for c in text[: 16 * limit])
    return " ".join(seen.split())[:limit].rstrip()


def has_controls(text: str) -> bool:
    """Whether a C0 or C1 control character, or DEL, is in it: ECMA-48 §5.2, §5.3."""
    return any(c < " " or "\x7f" <= c <= "\x9f" for c in text)


def is_utf8(text: str) -> bool:
    """Whether the bytes that Python has read as `text` are UTF-8: others are lone surrogates in it
    (PEP 383).
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def columns(text: str) -> int:
    """Return how many columns a terminal gives to printable `text`."""
    if text.isascii():
        return len(text)
    import unicodedata  # late, as above

    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def is_one_column(char: str) -> bool:
    """Whether a terminal shows `char`, in one column."""
    return char.isprintable() and columns(char) == 1
