"""Reads a home's journal without a daemon and without changing the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from pairingd.core.model import Mapping
from pairingd.process.left_over import is_still
from pairingd.state.live import Live
from pairingd.state.schema import migrate, read_only
from pairingd.state.set_aside import half_replaced
from pairingd.state.store import Process, Store


class Leftovers(Struct, frozen=True):
    """`processes` are those that still run."""

    mappings: list[Mapping]
    processes: list[Process]


def database(path: Path) -> Path:
    """Return where the journal is: in `path`, or in what a killed daemon was replacing by it."""
    return half_replaced(path) or path


def read(path: Path) -> Leftovers:
    """Read the database `path`, of this or any older version.

    Raises Misconfigured `state-newer`, and sqlite3.Error or ValueError if it cannot be read.
    """
    with closing(read_only(path)) as stored, closing(sqlite3.connect(":memory:")) as copy:
        stored.backup(copy)
        migrate(copy, path, None)
        store = Store(copy, Live(path.with_name("live")))
        journaled = store.processes()
        running = [p for p in journaled if is_still(p.pid, p.started, p.boot)]
        return Leftovers(store.mappings(), running)
