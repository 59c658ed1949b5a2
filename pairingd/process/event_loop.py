"""Our event loop. Calls that may hang have threads that nothing waits for.

asyncio looks names up in the few threads that `asyncio.to_thread` uses, too. A name server that
does not answer holds each for up to a minute: then all other calls would wait, and the end of the
process.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")

_REFUSED_S = 0.1  # until poll(2) is tried again


async def in_own_thread(call: Callable[[], Result]) -> Result:
    """Run `call` in a thread that ends with the process at the latest. Raises OSError if there can
    be none: a guest in a box can use up the processes that our user may have.
    """
    return await asyncio.shield(_begin(call))


def _begin(call: Callable[[], Result]) -> asyncio.Future[Result]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()
    # Perhaps nobody waits for it any more.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def settle(done: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(done)

    def run() -> None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - the caller gets it
            settle(partial(future.set_exception, error))
        else:
            settle(partial(future.set_result, result))

    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no more threads can be started") from None
    return future


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run, on such a loop."""
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(main)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    loop = _EventLoop()
    asyncio.set_event_loop(loop)  # before Python 3.12 the watcher of children needs it
    return loop


class _Poll(selectors.PollSelector):
    """Lets only time pass while more descriptors are open than may be, which poll(2) refuses:
    somebody has lowered the limit, prlimit(1).
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        try:
            return super().select(timeout)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            time.sleep(_REFUSED_S if timeout is None else max(min(timeout, _REFUSED_S), 0.0))
            return []


class _EventLoop(asyncio.SelectorEventLoop):
    """Looks each name up once at a time, whoever asks. What cannot be a name is an unknown one.

    On Linux it waits by poll(2): the kernel counts the watches of epoll(7) for each user, and a
    guest in a box, who has our user id, could use them all up (measured: no command is answered).
    """

    def __init__(self) -> None:
        super().__init__(_Poll() if sys.platform == "linux" else None)
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}

    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        """As asyncio's. Raises OSError alone."""
        key = (*args, *sorted(options.items()))
        if key not in self._lookups:
            lookup = _begin(partial(_look_up, *args, **options))
            self._lookups[key] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(key))
        return await asyncio.shield(self._lookups[key])


def _look_up(*args: Any, **options: Any) -> Any:
    try:
        return socket.getaddrinfo(*args, **options)
    except UnicodeError:  # of Python's IDNA: an empty label, or a long one
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
