"""Whether a gateway still has the mapping it granted, judged by its epoch.

PCP and NAT-PMP cannot read a mapping back; a gateway that lost its mappings starts a new epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pairingd.core.holding_events import Presence


class Rule(Protocol):
    def __call__(
        self, previous_epoch: int, previous_time: float, epoch: int, time: float
    ) -> bool: ...


class Epochs:
    """The gateway's epoch as last seen for each mapping id since it was granted."""

    def __init__(self, rule: Rule, clock: Callable[[], float]) -> None:
        self._rule = rule
        self._clock = clock
        self._seen: dict[str, tuple[int, float] | None] = {}

    def granted(self, mapping_id: str, epoch: int) -> None:
        self._seen[mapping_id] = (epoch, self._clock())

    def forget(self, mapping_id: str) -> None:
        self._seen.pop(mapping_id, None)

    def presence(self, mapping_id: str, epoch: int) -> Presence:
        """PRESENT if the gateway has gone on since the grant, UNKNOWN if we saw no grant.

        Once it has restarted the answer stays ABSENT until a new grant.
        """
        if mapping_id not in self._seen:
            return Presence.UNKNOWN
        seen, now = self._seen[mapping_id], self._clock()
        # One that stands still shows no restart, whatever the rules of both RFCs say.
        kept = seen is not None and (epoch == seen[0] or self._rule(*seen, epoch, now))
        self._seen[mapping_id] = (epoch, now) if kept else None
        return Presence.PRESENT if kept else Presence.ABSENT
