"""What a user has left in places that are everybody's."""

# ruff: noqa: PTH112

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pairctl.services.steps import Run

if TYPE_CHECKING:
    from collections.abc import Iterator


def owned(name: str, places: tuple[str, ...]) -> Iterator[Run]:
    """Remove that user's files; not what others have put into their directories, nor these."""
    there = [place for place in places if os.path.isdir(place)]
    if there:
        yield Run(("find", "-P", *there, "-xdev", "-user", name, "-delete"), soft=(1,))
