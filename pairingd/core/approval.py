"""The host approves visitors: which of them wait, until when, and which entered shortly before.

Every change returns a new Desk. No answer within ANSWER_S counts as a denial.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from msgspec import Struct

from pairingd.core.records import replace
from pairingd.core.refusal import Refused

ANSWER_S = 60  # for the host's decision
REMEMBERED_S = 120  # after an approval, in which the same key does not ask again
INTERRUPTIONS = 3  # popups for one invitation in INTERRUPTED_S, each of which takes the host's keys
INTERRUPTED_S = 600


class Entry(Enum):
    """Whether a connection may enter: FREE may; ASKS has not asked yet; WAITS for the host."""

    FREE = auto()
    ASKS = auto()
    WAITS = auto()
    DENIED = auto()


class Visitor(Struct, frozen=True):
    """An authenticated connection at whose terminal a guest waits; `pid` is its sshd's."""

    pid: int
    invitation: str
    guest: str
    fingerprint: str
    peer: str
    asked_at: float

    @property
    def until(self) -> float:
        return self.asked_at + ANSWER_S


class Approved(Struct, frozen=True):
    """A key of one invitation. Another invitation of the same guest asks again."""

    invitation: str
    fingerprint: str
    at: float


class Desk(Struct, frozen=True):
    """`interrupted` has the popups of the last INTERRUPTED_S: an invitation and a time each."""

    waiting: tuple[Visitor, ...] = ()
    approved: tuple[Approved, ...] = ()
    interrupted: tuple[tuple[str, float], ...] = ()

    def asked(self, visitor: Visitor) -> Desk:
        return replace(self, waiting=(*self.without({visitor.pid}).waiting, visitor))

    def without(self, pids: Iterable[int]) -> Desk:
        gone = frozenset(pids)
        return replace(
            self, waiting=tuple(visitor for visitor in self.waiting if visitor.pid not in gone)
        )

    def let_in(self, visitor: Visitor, now: float) -> Desk:
        """Move it from waiting to approved; drop approvals older than REMEMBERED_S."""
        fresh = (
            approval for approval in self.approved if _is_within(REMEMBERED_S, approval.at, now)
        )
        new = Approved(visitor.invitation, visitor.fingerprint, now)
        others = tuple(popup for popup in self.interrupted if popup[0] != visitor.invitation)
        return replace(self.without({visitor.pid}), approved=(*fresh, new), interrupted=others)

    def may_interrupt(self, visitor: Visitor, now: float) -> bool:
        """Whether a popup may ask about it: a guest could ask, leave and ask again all the time."""
        times = [at for invitation, at in self.interrupted if invitation == visitor.invitation]
        return sum(_is_within(INTERRUPTED_S, at, now) for at in times) < INTERRUPTIONS

    def interrupts(self, visitor: Visitor, now: float) -> Desk:
        """A popup asks about it."""
        fresh = (popup for popup in self.interrupted if _is_within(INTERRUPTED_S, popup[1], now))
        return replace(self, interrupted=(*fresh, (visitor.invitation, now)))

    def remembers(self, invitation: str, fingerprint: str, now: float) -> bool:
        """Whether the host approved that key within the last REMEMBERED_S."""
        return any(
            (approval.invitation, approval.fingerprint) == (invitation, fingerprint)
            and _is_within(REMEMBERED_S, approval.at, now)
            for approval in self.approved
        )

    def meant(self, guest: str, pid: int | None, *, approve: bool) -> tuple[Visitor, ...]:
        """Return the visitors of `guest` that an answer concerns: that of `pid`, or with None all.
        Raises Refused `not-waiting`, or `several-waiting`: only a key that was shown is approved.
        """
        visitors = tuple(
            visitor
            for visitor in self.waiting
            if visitor.guest == guest and pid in {None, visitor.pid}
        )
        if not visitors:
            raise Refused(
                "not-waiting",
                f"{guest} is not waiting for approval",
                "pairctl status shows who waits; a denied guest can ask again",
            )
        if approve and len({(visitor.fingerprint, visitor.peer) for visitor in visitors}) > 1:
            connections = " and ".join(
                f"{visitor.fingerprint} from {visitor.peer}" for visitor in visitors
            )
            raise Refused(
                "several-waiting",
                f"{guest} waits more than once: {connections}",
                "pairctl attach shows a popup for each of them; pairctl deny turns all away",
            )
        return visitors


def _is_within(seconds: float, at: float, now: float) -> bool:
    """False also if the clock was set back since."""
    return at <= now < at + seconds
