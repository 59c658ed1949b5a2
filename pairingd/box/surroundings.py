"""The environment of what runs outside a box: nothing of it leads into what the box shares.

The host's PATH may well have `.venv/bin` of the shared directory in it. If a guest writes a program
there, pairing itself would run it, as the host.
"""

# ruff: noqa: PTH117 - pathlib takes longer to import than all else

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pairingd.box.place import boxes
from pairingd.box.shares import leads_into

if TYPE_CHECKING:
    from collections.abc import Iterable


def keep_out(writable: Iterable[str]) -> None:
    """Take what leads into one of `writable`, resolved, out of this process's environment, and so
    out of that of all programs that it starts: of PATH, and of each other list of directories. Out
    of what this process imports from, too, which PYTHONPATH names.
    """
    writable = tuple(writable)
    sys.path[:] = [place for place in sys.path if place and _may_stay(place, writable)]
    for name, value in [*os.environ.items()]:
        places = value.split(":")
        kept = [place for place in places if _may_stay(place, writable)]
        if kept == places:
            continue
        os.environ[name] = ":".join(kept)
        if not kept:
            del os.environ[name]


def keep_out_of_boxes(root: str) -> None:
    """The same, of all boxes that have files: what a guest has left is there after the session."""
    keep_out(path for place in boxes(root) for path in place.shares.writable)


def _may_stay(place: str, writable: tuple[str, ...]) -> bool:
    """Whatever is no absolute path may: it need not be a path at all."""
    return not (os.path.isabs(place) and leads_into(place, writable))
