"""TCP ports as people, programs and relays write them."""

from __future__ import annotations

MAX_PORT = 65535
_MAX_DIGITS = 5  # Python refuses to convert thousands


def parse_port(text: str) -> int | None:
    """Return the port from 1 to MAX_PORT; None if the text is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        return None
    return int(text) if 0 < int(text) <= MAX_PORT else None
