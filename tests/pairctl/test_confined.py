"""The start of a session that does not run as the host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pairctl.tmux import confined
from pairingd.box.place import Box, Shares, boxes


def test_a_session_whose_record_cannot_be_written_leaves_nothing(short_path: Path) -> None:
    place = Box(str(short_path), "b0c5")

    def files() -> Iterator[tuple[str, int, bytes]]:
        Path(place.record).mkdir()  # as good as a full disk
        yield place.server, 0o700, b"exec sleep 3600"

    with pytest.raises(confined.NotStartedError, match="Is a directory"):
        confined.make(place, files(), Shares("", "none", 0))
    assert not place.lives
    assert boxes(place.root) == []
