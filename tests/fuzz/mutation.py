"""Inputs made of others: bytes changed, cut out, repeated, put in, or joined with another input's.

The same `chance` in the same state gives the same input on every machine and Python.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

LARGEST = 128 * 1024  # bytes of an input; no parser is given much more by its reader
_LARGE_EVERY = 500  # inputs, of which one is very long: what costs the square of it shows
_TOKENS = (
    *(
        b"\0",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"\xff",
        b"\xe2\x80\xae",
        b"\x1b[2J",
        b"\x7f",
    ),
    *(
        b"%s",
        b"../",
        b"'",
        b'"',
        b"\\",
        b":",
        b"@",
        b"/",
        b"//",
        b"?",
        b"#",
        b"[",
        b"]",
        b"{",
        b"}",
    ),
    *(b"<", b">", b"</", b"&#0;", b"&lt;", b"]]>", b"<!DOCTYPE a>", b"<![CDATA["),
    *(b"0", b"-1", b"65535", b"65536", b"4294967296", b"9" * 400, b"1e999", b"NaN", b"Infinity"),
    *(b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", "\u202e\u2028é".encode()),
)
_VALUES = (  # as JSON
    *("null", "true", "false", "0", "-1", "1", f"{2**31}", f"{2**63}", f"{10**40}", "0.5", "-0.0"),
    *("1e308", "NaN", "Infinity", '""', '"x"', r'"\n"', r'"\ud800"', r'"\u202e"', f'"{10**40}"'),
    *("[]", "{}", "[null]", '{"": ""}', "[" * 60 + "]" * 60),
)

Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def data(chance: random.Random, one: bytes, others: Sequence[bytes] = ()) -> bytes:
    """`one`, changed at one to four places; `others` may be joined to it."""
    result = bytearray(one)
    for _ in range(chance.randrange(1, 5)):
        _change(chance, result, others)
    if chance.randrange(_LARGE_EVERY) == 0:
        _lengthen(chance, result)
    return bytes(result[:LARGEST])


def _change(chance: random.Random, result: bytearray, others: Sequence[bytes]) -> None:
    here = chance.randrange(len(result) + 1)
    there = min(len(result), here + chance.randrange(1, 40))
    match chance.randrange(9):
        case 0:
            result[here:there] = b""
        case 1:
            result[here:here] = result[here:there] * chance.randrange(1, 30)
        case 2 | 3:
            result[here:here] = chance.choice(_TOKENS)
        case 4:
            result[here:there] = chance.randbytes(there - here)
        case 5 if here < len(result):
            result[here] ^= 1 << chance.randrange(8)
        case 6:
            result[here:] = b""
        case 7 if others:
            other = chance.choice(others)
            result[here:] = other[chance.randrange(len(other) + 1) :]
        case _:
            numbers = list(re.finditer(rb"\d+", result[:4096]))
            if numbers:
                number = chance.choice(numbers)
                result[number.start() : number.end()] = chance.choice(_TOKENS)


def _lengthen(chance: random.Random, result: bytearray) -> None:
    """A few bytes, very often; what comes after them may be left out."""
    here = chance.randrange(len(result) + 1)
    part = bytes(result[here : here + chance.choice((1, 2, 4, 16, 64))]) or b"<"
    result[here:] = part * (LARGEST // len(part)) + (
        result[here:] if chance.random() < 0.5 else b""
    )


def lines_of_json(chance: random.Random, one: bytes, others: Sequence[bytes] = ()) -> bytes:
    """One of the JSON documents in `one`, each on a line, has other values, or is only bytes."""
    if chance.random() < 0.4:
        return data(chance, one, others)
    lines = one.split(b"\n")
    where = chance.randrange(len(lines))
    try:
        document = json.loads(lines[where])
        for _ in range(chance.randrange(1, 4)):
            document = _another_value(chance, document)
        lines[where] = json.dumps(document).encode()
    except (ValueError, RecursionError):
        return data(chance, one, others)
    return b"\n".join(lines)[:LARGEST]


def _another_value(chance: random.Random, value: Any) -> Any:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        inner.extend(value.items() if isinstance(value, dict) else enumerate(value))
    if inner and chance.random() < 0.85:
        key, one = chance.choice(inner)
        if chance.random() < 0.1:
            del value[key]
        else:
            value[key] = _another_value(chance, one)
        return value
    match chance.randrange(4):
        case 0:
            return [value]
        case 1 if isinstance(value, str):
            return data(chance, value.encode(errors="replace")).decode(errors="replace")
        case 2 if type(value) in {int, float}:
            return value + chance.choice((1, -1, 0.5, 2**32, -(2**32)))
        case _:
            return json.loads(chance.choice(_VALUES))


def base64_words(chance: random.Random, one: bytes, others: Sequence[bytes] = ()) -> bytes:
    """What one of the base64 words of `one` decodes to is other bytes; or all of it is only bytes."""
    words = list(re.finditer(rb"[A-Za-z0-9+/]{24,}={0,2}", one[:LARGEST]))
    if not words or chance.random() < 0.4:
        return data(chance, one, others)
    word = chance.choice(words)
    try:
        blob = base64.b64decode(word[0])
    except ValueError:
        return data(chance, one, others)
    changed = base64.b64encode(data(chance, blob))
    return (one[: word.start()] + changed + one[word.end() :])[:LARGEST]
