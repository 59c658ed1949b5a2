"""The loop of every lane, with passes whose ends the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from pairingd.errors import PairingError, WorldError
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from tests.core.make import START, invitation, invite
from tests.waiting import WAIT_S

SILENT = WorldError("tmux-unknown", "tmux does not answer", "end it")


class Played(Lane):
    """`ends` says how each pass ends; None: well."""

    def __init__(self, store: Store) -> None:
        self.intent = Intent(store, lambda: START, Signals())
        super().__init__(self.intent, lambda: START)
        self._store = store
        self.play: Callable[[], None] = lambda: None
        self.may_play = asyncio.Event()
        self.is_needed = True

    @property
    def needed(self) -> bool:
        return self.is_needed

    def log(self) -> list[str]:
        return [line.text for line in self._store.history(0, 100)]

    async def one_pass(self) -> float | None:
        await self.may_play.wait()
        self.play()
        return None

    async def passes(self, play: Callable[[], None]) -> PairingError | None:
        """The error that stands after such a pass."""
        self.play = play
        self.may_play.set()
        await self.settle()
        return self.error

    async def fails(self, error: Exception) -> PairingError | None:
        def play() -> None:
            raise error

        return await self.passes(play)

    async def gives_way(self) -> asyncio.Task[bool]:
        """Somebody who waits for an answer, while the pass that is given way to has to wait."""
        gave_way = asyncio.Event()

        def play() -> None:
            self.may_play.clear()
            self.give_way()
            gave_way.set()

        self.play = play
        self.may_play.set()
        waiting = asyncio.create_task(self.settle())
        async with asyncio.timeout(WAIT_S):
            await gave_way.wait()
        return waiting


@pytest.fixture
async def lane(store: Store) -> AsyncIterator[Played]:
    played = Played(store)
    running = asyncio.create_task(played.run())
    await played.passes(lambda: None)
    yield played
    running.cancel()
    await asyncio.wait({running})


async def test_a_pass_that_gives_way_leaves_the_error_that_stands(lane: Played) -> None:
    assert await lane.fails(SILENT) is SILENT
    waiting = await lane.gives_way()
    assert lane.error is SILENT
    assert list(lane.failures) == ["tmux-unknown"]
    assert await lane.passes(lambda: None) is None
    await waiting


async def test_a_pass_that_gives_way_is_no_error_and_another_comes(lane: Played) -> None:
    waiting = await lane.gives_way()
    assert lane.error is None
    assert not lane.failures
    came = asyncio.Event()
    lane.play = came.set
    lane.may_play.set()
    async with asyncio.timeout(WAIT_S):
        await came.wait()
        await waiting


async def test_who_waits_is_answered_by_the_pass_that_is_given_way_to(lane: Played) -> None:
    waiting = await lane.gives_way()
    await asyncio.wait({waiting}, timeout=0.1)
    assert not waiting.done()
    assert await lane.fails(SILENT) is SILENT
    await waiting


async def test_an_error_stands_until_a_pass_succeeds(lane: Played) -> None:
    await lane.fails(SILENT)
    assert await lane.passes(lambda: None) is None
    assert not lane.failures


async def test_a_defect_in_a_pass_is_an_error_and_the_next_pass_comes(lane: Played) -> None:
    error = await lane.fails(ZeroDivisionError())
    assert error
    assert error.code == "internal"
    assert await lane.passes(lambda: None) is None


async def test_a_pass_that_succeeds_reports_earlier_failures_as_resolved(lane: Played) -> None:
    lane.intent.apply(invite(invitation("github:ann")))
    await lane.fails(SILENT)
    await lane.passes(lambda: None)
    assert lane.log()[-2:] == [SILENT.message, f"resolved: {SILENT.message}"]


async def test_a_pass_with_nothing_to_do_reports_nothing_as_resolved(lane: Played) -> None:
    lane.intent.apply(invite(invitation("github:ann")))
    await lane.fails(SILENT)
    lane.is_needed = False
    await lane.passes(lambda: None)
    assert lane.log()[-1] == SILENT.message
