"""Records in state.db: JSON, read back strictly, with a checksum of table, key and content."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec
from msgspec import Struct

from pairingd.core import strict

T = TypeVar("T")


def read(kind: type[T], table: str, *row: str | int) -> T:
    """Return the record of a `row`, which is its key, its body and its checksum, without members
    that only a later version knows.

    Raises ValueError if the record is damaged.
    """
    *key, body, checksum = row
    if checksum != checksum_of(table, *key, body):
        raise ValueError(f"the record {key} of {table} is damaged")
    return strict.read(kind, strict.from_json(str(body)), passing_over=True)


def as_json(record: Struct) -> str:
    """Return `record` as `read` takes it."""
    return msgspec.json.encode(record).decode()


def checksum_of(*row: object) -> str:
    """Return a checksum of table, key and content. It is no seal: anybody can compute it."""
    return hashlib.sha256(ascii(row).encode()).hexdigest()[:16]


def as_text(stored: bytes) -> str:
    """Replace bytes that are not UTF-8; the checksum then shows the damage."""
    return stored.decode(errors="replace")
