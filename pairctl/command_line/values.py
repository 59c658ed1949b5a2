"""What the values of arguments may be. Each function raises Usage."""

from __future__ import annotations

import os

from pairctl.failures import Usage
from pairingd.core.ports import parse_port
from pairingd.core.text import is_utf8, quoted
from pairingd.home.paths import from_here

MAX_EVENTS = 10000  # the limit of one request: protocol/params.py


def guest(text: str) -> str:
    """Make the path of `file:` absolute: the daemon has another working directory."""
    kind, colon, path = text.partition(":")
    if kind.lower() == "file" and colon:
        if not path:
            raise Usage("bad-guest", f"{quoted(text)} names no file", "write file:PATH")
        text = "file:" + os.path.abspath(from_here(path))  # noqa: PTH100
    return utf8(text)


def utf8(text: str) -> str:
    """Reject text that is not UTF-8."""
    if not is_utf8(text):
        raise Usage("usage", f"not UTF-8: {quoted(text)}", "if it is a file, rename it")
    return text


def guest_address(text: str) -> str:
    """A guest's public address."""
    from pairingd.core import addresses
    from pairingd.core.refusal import Refused

    try:
        return addresses.guest_address(text)
    except Refused as refused:
        raise Usage(refused.code, refused.message, refused.hint) from None


def url(text: str) -> str:
    """A port checker's URL."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text.replace("{port}", "1").replace("{host}", "h"))
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        example = "such as 'https://ifconfig.co/port/{port}'"
        raise Usage("usage", f"not an http:// or https:// URL: {quoted(text)}", example)
    return utf8(text)


def moment(text: str, hint: str) -> str:
    from datetime import datetime

    from pairctl.text.times import parse_moment

    try:
        return parse_moment(text, datetime.now())  # noqa: DTZ005 - the wall clock's, on purpose
    except Usage as refused:
        raise Usage(refused.code, refused.message, hint) from None


def count(text: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) <= 5
    if not (digits and 0 < int(text) <= MAX_EVENTS):
        cause = f"not a number from 1 to {MAX_EVENTS}: {quoted(text)}"
        raise Usage("usage", cause, "-n 20 prints the newest 20")
    return int(text)


def port(text: str) -> int:
    number = parse_port(text)
    if number is None:
        raise Usage("bad-port", f"not a port: {quoted(text)}", "a port is a number from 1 to 65535")
    return number
