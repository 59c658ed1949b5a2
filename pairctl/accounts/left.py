"""The files that a user has left in directories that everybody may write."""

# ruff: noqa: PTH112

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pairctl.services.steps import Run

if TYPE_CHECKING:
    from collections.abc import Iterator


def owned(name: str, places: tuple[str, ...]) -> Iterator[Run]:
    """Remove that user's files. Directories that hold other users' files stay, with those files."""
    existing = [place for place in places if os.path.isdir(place)]
    if existing:
        yield Run(("find", "-P", *existing, "-xdev", "-user", name, "-delete"), soft=(1,))
