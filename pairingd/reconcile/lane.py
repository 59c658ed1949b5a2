"""One loop of observe, plan, apply.

Access (keys, connections, door, tmux) is local and quick. Mapping, second, pinhole, relay, hole,
hostname, dial and lookout are remote and slow. So a router that hangs never delays a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from pairingd.core.plan import LONGEST_SLEEP_S
from pairingd.errors import PairingError
from pairingd.signals import Signal
from pairingd.state.intent import Intent

log = logging.getLogger(__name__)


class Lane(ABC):
    """Subclasses define one pass; this class decides when the next one comes."""

    first_retry = 0.5  # seconds, doubled with each failure in a row
    longest_retry = LONGEST_SLEEP_S

    def __init__(self, intent: Intent, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.error: PairingError | None = None
        self._intent = intent
        self.failures: dict[str, PairingError] = {}  # by their codes, since a pass last succeeded
        self.passing: Signal[[]] = Signal()  # before each pass, and before it opens the door
        self.changed: Signal[[]] = Signal()
        self._last: object = None
        self._reported: dict[str, str] = {}  # troubles by their codes, since a pass last succeeded
        self._wake = asyncio.Event()
        self._gave_way = False
        self._asked = 0
        self._begun = 0
        self._closed = 0
        self._answered = 0
        self._answer = asyncio.Condition()

    @abstractmethod
    async def one_pass(self) -> float | None:
        """Close the difference once. Returns the next deadline in wall-clock time, or None.

        Raises PairingError when something could not be done; the lane then tries again.
        """

    @property
    def needed(self) -> bool:
        """Whether there is anything to do; a pass that succeeds without proves nothing."""
        return True

    def outcome(self) -> object:
        """The present result; the lane calls `changed` after a pass that changed it."""
        return str(self.error)

    def urgent(self) -> float | None:
        """A deadline that must be kept even while passes fail, as wall-clock time."""
        return None

    def poke(self) -> None:
        """Have a pass soon, because something has changed."""
        self._wake.set()

    def give_way(self) -> None:
        """Leave the rest to another pass, at once: this one answers no `settle`, and does not show
        that earlier failures are resolved.
        """
        self._gave_way = True
        self.poke()

    async def settle(self, rest_s: float | None = None) -> bool:
        """Wait for a pass that began after this call. Its failure, if any, is in `error`.

        With `rest_s` wait so long at most for what comes after `has_closed`; False if it is not
        over by then.
        """
        self._asked += 1
        request = self._asked
        self.poke()
        async with self._answer:
            await self._answer.wait_for(lambda: max(self._closed, self._answered) >= request)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._answer.wait_for(lambda: self._answered >= request)
            return self._answered >= request

    async def has_closed(self) -> None:
        """Called by a pass that has closed all that must close, if more follows."""
        async with self._answer:
            self._closed = self._begun
            self._answer.notify_all()

    async def finish(self, limit: float) -> None:
        """Run a last pass, of at most `limit` seconds. What is left ends with its lease, or at a
        start.
        """
        try:
            async with asyncio.timeout(limit):
                await self.settle()
        except TimeoutError:
            log.warning("%s: no answer in time", type(self).__name__)

    async def run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            self._gave_way = False
            asked = self._begun = self._asked
            deadline: float | None = None
            try:
                self.passing()
                deadline = await self.one_pass()
            except PairingError as error:
                self._fails_with(error)
            except Exception as error:  # the loop must outlive a defect in one pass
                log.exception("a pass failed")
                self._fails_with(
                    PairingError(
                        "internal", f"unexpected: {type(error).__name__}", "see the daemon's log"
                    )
                )
            else:
                if not self._gave_way:
                    self.error = None
                    self.failures.clear()
                    self._report_recovery()
            failures = failures + 1 if self.error else 0
            self._report_change()
            if not self._gave_way:  # else the next one answers
                async with self._answer:
                    self._answered = asked
                    self._answer.notify_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._time_limit(deadline, failures)):
                    await self._wake.wait()

    def _fails_with(self, error: PairingError) -> None:
        known, self.error = self.error, error
        self.failures[error.code] = error
        if str(known) != str(error):
            log.warning("%s", error)
            self._report_trouble(error)

    def _report_trouble(self, error: PairingError) -> None:
        if self._reported.get(error.code) != error.message:
            self._reported[error.code] = error.message
            self._intent.troubled(error)

    def _report_recovery(self) -> None:
        """Record that reported failures are resolved, if anything was tried."""
        reported, self._reported = self._reported, {}
        if self._intent.state.live and self.needed:
            for code, message in reported.items():
                self._intent.happened("resolved", f"resolved: {message}", code=code)

    def _report_change(self) -> None:
        last, self._last = self._last, self.outcome()
        try:
            if last != self._last:
                self.changed()
        except Exception:  # the loop must outlive it, too
            log.exception("whoever listens for a change has failed")

    def _time_limit(self, deadline: float | None, failures: int) -> float | None:
        if failures:
            retry = min(self.first_retry * 2.0 ** min(failures - 1, 16), self.longest_retry)
            urgent = self.urgent()
            return retry if urgent is None else min(retry, max(urgent - self.clock(), 0.01))
        if deadline is None:
            return None
        # asyncio's clock stands still in sleep, so no wait for a deadline is ever long.
        # A deadline that a pass left standing is a defect, and must not become a busy loop.
        return min(max(deadline - self.clock(), 0.01), LONGEST_SLEEP_S)
