"""Work in the background: it has a name, an end, and no lost error."""

from __future__ import annotations

import asyncio

import pytest

from pairingd.reconcile.aside import Aside
from tests.waiting import WAIT_S


async def test_work_that_is_late_is_cancelled() -> None:
    aside, ended = Aside(), []

    async def works() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("late")

    aside.run(works(), "work")
    assert aside.runs("work")
    assert not aside.runs("other work")
    await aside.rest(0.01)
    assert ended == ["late"]
    assert not aside.runs("work")


async def test_late_work_that_other_work_has_begun_is_cancelled() -> None:
    aside, ended = Aside(), []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("late")

    async def begins() -> None:
        await asyncio.sleep(0)
        aside.run(hangs())

    aside.run(begins())
    await asyncio.wait_for(aside.rest(0.01), WAIT_S)
    assert ended == ["late"]


async def test_without_a_limit_all_work_is_waited_for_also_what_other_work_begins() -> None:
    aside, ended = Aside(), []

    async def works(further: int) -> None:
        await asyncio.sleep(0)
        if further:
            aside.run(works(further - 1))
        ended.append(further)

    aside.run(works(2))
    await aside.rest()
    assert ended == [2, 1, 0]


async def test_an_error_in_the_background_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    aside = Aside()

    async def fails() -> None:
        raise OSError("no terminals left")

    aside.run(fails())
    await aside.rest()
    [record] = caplog.records
    assert record.exc_info
    assert "no terminals left" in str(record.exc_info[1])
