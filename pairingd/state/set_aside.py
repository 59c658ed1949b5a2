"""The files of a database that is set aside because it cannot be read.

First it is moved, then a new one is made, with the journal of the old one, and only then renamed to
the database's name. So there is none as long as that is not whole.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_ASIDE = ".unreadable-"  # before the time, in the name of a database that was set aside
_SUFFIXES = ("", "-wal", "-shm")  # the database first: without it SQLite drops a -wal


def half_replaced(path: Path) -> Path | None:
    """Return the database that was set aside last if there is no other: its journal counts still,
    because a daemon was killed before it had taken that over.
    """
    if os.path.lexists(path):
        return None
    with suppress(OSError):
        asides = (
            aside
            for aside in path.parent.glob(f"{path.name}{_ASIDE}*")
            if aside.name.rpartition("-")[2].isdecimal() and aside.is_file()
        )
        return max(asides, key=lambda aside: aside.stat().st_ctime, default=None)
    return None


def unused(path: Path, number: int) -> Path:
    """Return the name under which `path` can be set aside, with `number` or a higher one."""
    aside = path.with_name(f"{path.name}{_ASIDE}{number}")
    return unused(path, number + 1) if aside.exists() else aside


def move(database: Path, target: Path) -> None:
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            _beside(database, suffix).rename(_beside(target, suffix))


def remove(database: Path) -> None:
    for suffix in _SUFFIXES:
        _beside(database, suffix).unlink(missing_ok=True)


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)
