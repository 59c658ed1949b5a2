"""Text of others, made fit for a terminal: nothing is left in it that one would act on."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with a sign in the place of every character that cannot be printed."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def one_line(text: str, limit: int) -> str:
    """Printable characters, single spaces, at most `limit` of both."""
    seen = "".join(c if c.isprintable() else " " for c in text[: 16 * limit])
    return " ".join(seen.split())[:limit].rstrip()
