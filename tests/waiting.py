"""Waits and deadlines of the tests, for a machine with many times its load too."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psutil

# A wait ends when the thing has happened, so a long limit costs nothing while all is well. Only what
# must not happen may be given less.
WAIT_S: Final = 60.0

_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.25

_LEAST_S: Final = 3.0
_COMMANDS: Final = 12  # that a test has time for before the deadline
_TRIES: Final = 5


def looks(within: float = WAIT_S) -> Iterator[None]:
    """Once for each look at what must happen within so many seconds, the last of them after these.

    The pauses between looks become longer: most looks start a program, and what is looked at
    shares the machine with them.
    """
    deadline, pause = time.monotonic() + within, _FIRST_PAUSE_S
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
    yield


async def happens(look: Callable[[], object]) -> None:
    """Return once `look` is true, in a test that shares its event loop with what it tests."""
    async with asyncio.timeout(WAIT_S):
        while not look():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(_FIRST_PAUSE_S)


async def gone(pid: int) -> None:
    """Also reaped, if it is ours: a thread of asyncio's does that (below Python 3.12), and then
    informs its loop, which must not end before.
    """
    await happens(lambda: not psutil.pid_exists(pid) and not _is_reaping())


def has_ended(process: psutil.Process) -> bool:
    """Also if nobody has reaped it yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _is_reaping() -> bool:
    return any(thread.name.startswith("asyncio-waitpid-") for thread in threading.enumerate())


def expires_soon(
    asks: Callable[..., dict[str, Any]], guest: str, runs: Callable[[], object]
) -> float:
    """Move the deadline of `guest`, who may be in already, to a few seconds from now.

    No login has to fit into these seconds. They become more where commands take long, so that a
    test has time for some more of them: `runs` runs one. `asks` gives a command's JSON. Returns the
    deadline, in seconds since the epoch.
    """
    answer: dict[str, Any] = {}
    for attempt in range(_TRIES):
        began = time.monotonic()
        runs()
        seconds = 2**attempt * (_LEAST_S + _COMMANDS * (time.monotonic() - began))
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        answer = asks("extend", guest, "--until", until.isoformat(timespec="seconds"))
        if "error" not in answer:
            [invitation] = answer["invitations"]
            return datetime.fromisoformat(invitation["expires_at"]).timestamp()
        assert answer["error"]["code"] == "deadline-past", answer
    raise AssertionError(answer)
