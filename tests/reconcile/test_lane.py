"""The loop of every lane, with passes whose ends the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pairingd.errors import PairingError, WorldError
from pairingd.intent import Intent
from pairingd.reconcile.lane import Interrupted, Lane
from pairingd.signals import Signals
from pairingd.store import Store
from tests.core.make import START

SILENT = WorldError("tmux-unknown", "tmux does not answer", "end it")


class Played(Lane):
    """`ends` says how each pass ends; None: well."""

    def __init__(self, store: Store) -> None:
        super().__init__(Intent(store, lambda: START, Signals()), lambda: START)
        self.ends: Exception | None = None

    async def one_pass(self) -> float | None:
        if self.ends:
            raise self.ends
        return None

    async def passes(self, ends: Exception | None) -> PairingError | None:
        """The error that stands after a pass that ends so."""
        self.ends = ends
        await self.settle()
        return self.error


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Played]:
    played = Played(Store.open(tmp_path / "state.db", START))
    running = asyncio.create_task(played.run())
    yield played
    running.cancel()
    await asyncio.wait({running})


async def test_a_pass_that_gives_way_leaves_the_error_that_stands(lane: Played) -> None:
    assert await lane.passes(SILENT) is SILENT
    assert await lane.passes(Interrupted()) is SILENT
    assert list(lane.failures) == ["tmux-unknown"]


async def test_a_pass_that_gives_way_is_no_error(lane: Played) -> None:
    assert await lane.passes(Interrupted()) is None
    assert not lane.failures


async def test_an_error_stands_until_a_pass_succeeds(lane: Played) -> None:
    await lane.passes(SILENT)
    assert await lane.passes(None) is None
    assert not lane.failures


async def test_a_defect_in_a_pass_is_an_error_and_the_next_pass_comes(lane: Played) -> None:
    error = await lane.passes(ZeroDivisionError())
    assert error
    assert error.code == "internal"
    assert await lane.passes(None) is None
