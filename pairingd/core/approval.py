"""The host decides who comes in: who waits for that, until when, and who was let in just now.

Every change gives a new Desk. An answer that does not come is a no.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from msgspec import Struct

from pairingd.core.records import replace
from pairingd.core.refusal import Refused

ANSWER_S = 60  # for the host to decide
REMEMBERED_S = 120  # from an approval on, in which the same key does not ask again


class Entry(Enum):
    """Whether a connection may come in: FREE may; ASKS has not asked yet; WAITS for the host."""

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
    waiting: tuple[Visitor, ...] = ()
    approved: tuple[Approved, ...] = ()

    def asked(self, visitor: Visitor) -> Desk:
        return replace(self, waiting=(*self.without({visitor.pid}).waiting, visitor))

    def without(self, pids: Iterable[int]) -> Desk:
        gone = frozenset(pids)
        return replace(self, waiting=tuple(one for one in self.waiting if one.pid not in gone))

    def let_in(self, visitor: Visitor, now: float) -> Desk:
        """It waits no more, and is remembered; those of long ago are forgotten."""
        kept = (one for one in self.approved if _is_fresh(one, now))
        new = Approved(visitor.invitation, visitor.fingerprint, now)
        return replace(self.without({visitor.pid}), approved=(*kept, new))

    def remembers(self, invitation: str, fingerprint: str, now: float) -> bool:
        """Whether that key was let in so shortly ago that it does not ask again."""
        return any(
            (one.invitation, one.fingerprint) == (invitation, fingerprint) and _is_fresh(one, now)
            for one in self.approved
        )

    def meant(self, guest: str, pid: int | None, *, approve: bool) -> tuple[Visitor, ...]:
        """Those of `guest` that an answer is for: of the connection `pid` alone, or of all. Raises
        Refused `not-waiting`, or `several-waiting`: a yes is never for a key that was not shown.
        """
        found = tuple(one for one in self.waiting if one.guest == guest and pid in {None, one.pid})
        if not found:
            raise Refused(
                "not-waiting",
                f"{guest} is not waiting for approval",
                "pairctl status shows who waits; who is denied can ask again",
            )
        if approve and len({(one.fingerprint, one.peer) for one in found}) > 1:
            whence = " and ".join(f"{one.fingerprint} from {one.peer}" for one in found)
            raise Refused(
                "several-waiting",
                f"{guest} waits more than once: {whence}",
                "pairctl attach shows a popup for each of them; pairctl deny turns all away",
            )
        return found


def _is_fresh(one: Approved, now: float) -> bool:
    """A clock that was set back forgets."""
    return one.at <= now < one.at + REMEMBERED_S
