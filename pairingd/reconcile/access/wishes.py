"""What the intent demands now of keys, connections and the door."""

from __future__ import annotations

from collections.abc import Callable
from math import floor

from pairingd.core import plan
from pairingd.core.model import State
from pairingd.state.intent import Intent


class Wishes:
    """Computed once for each state and second, since all deadlines are whole seconds: a pass asks
    several times, and there may be a thousand invitations.
    """

    def __init__(self, intent: Intent, clock: Callable[[], float]) -> None:
        self.stopping = False  # the daemon stops, so no invited guest may be in
        self._intent = intent
        self._clock = clock
        self._cached: tuple[State, int, plan.Desired] | None = None

    def now(self) -> plan.Desired:
        if self.stopping:
            return plan.NOTHING
        state, second = self._intent.state, floor(self._clock())
        if self._cached is None or self._cached[0] is not state or self._cached[1] != second:
            self._cached = state, second, plan.desired(state, second)
        return self._cached[2]
