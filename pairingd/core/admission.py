"""Decide which accepted connection gets an sshd, which waits for one, and which is closed.

An sshd costs a process, and a stranger may open any number of connections. So a connection waits in
the lobby, where it costs a descriptor, until its client has sent its identification line (RFC 4253
§4.2) and one of MAX_PLACES is free. sshd_config(5) MaxStartups and PerSourceMaxStartups cannot do
this: each sshd has one connection. `Admission.decide` has all the rules. Call it after every event
and at `next_look`, and carry out its decisions before the next call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum

from msgspec import Struct, field

from pairingd.core.penalties import Ban, Penalties, source_of

MAX_PLACES = 64  # sshds at once before a login
KEPT_PLACES = 4  # of these, for sources from which a guest has entered
SUSPECT_PLACES = 4  # of these, for one source whose connections keep failing
MAX_WAITING = 64  # accepted sockets without an sshd
LONGEST_WAIT = 10.0  # seconds for a place
MAX_PER_GUEST = 8  # authenticated at once; each is a process, a read guest's too
LOGIN_GRACE = 20.0  # seconds to authenticate

# Clients that wait for the server's identification line, such as ssh-keyscan(1), are silent, and
# so are those that only hold a connection. SILENT_PLACES of them get an sshd, for LONGEST_SILENCE.
SILENCE = 1.0  # seconds after which a silent peer counts as waiting for our line
SILENT_PLACES = 2  # beside MAX_PLACES, one per source
LONGEST_SILENCE = 3.0  # seconds that a silent peer may have an sshd

# Seconds without bytes from the client after which it may lose its place to another; in mid-login,
# where its user may be reading a fingerprint, the second.
STALLED_AFTER, PAUSED_AFTER = 1.5, 3.0
LOGIN_UNDER_WAY = 512  # bytes received: more than a line, so the key exchange has begun
PACE = 0.25  # seconds between two searches for a connection to end
FAIR_AFTER = 1.0  # seconds, three times a login, for which a place beyond a source's share is safe


class Refusal(Enum):
    """Why a connection is closed, for the person at the other end; of BANNED the time follows."""

    NO_IDENTIFICATION = "this is an SSH server, and your client sent no SSH identification"
    NOT_SSH = "this is an SSH server"
    BANNED = "too many failed logins from your address; try again"
    PUSHED_OUT = "too many connections; try again"
    WAITED = "no free place; try again"
    STALLED = "your client stopped while others wait; try again"
    NO_RESOURCES = "the host is out of resources; try again"
    CLOSED = "the session is over"


class Visitor(Struct, eq=False):
    """One accepted connection until it has logged in or gone. Only Admission changes it."""

    source: str
    since: float  # time of accept(2)
    spoke: bool = False  # its client has sent its identification line
    seated: float | None = None  # time at which its sshd started
    listens: bool = False  # its sshd started although it is silent
    ending: bool = False  # its sshd is being ended
    login_refused: bool = False  # by sshd
    excused: bool = False  # it failed, and that was not its fault


class Progress(Struct, frozen=True):
    """The kernel's view of a connection whose sshd is processing a login."""

    quiet: float  # seconds for which sshd has waited for the peer; 0 if the peer waits for sshd
    received: int  # bytes


class Start(Struct, frozen=True):
    """Start an sshd for it."""

    visitor: Visitor


class Refuse(Struct, frozen=True):
    """Close it with `reason`, then call `left`. It has no sshd."""

    visitor: Visitor
    reason: Refusal


class End(Struct, frozen=True):
    """End its sshd: another needs the place, or it was silent. Call `left` after its exit."""

    visitor: Visitor
    reason: Refusal


Decision = Start | Refuse | End
Look = Callable[[Visitor], Progress | None]
_Stalled = list[tuple[Visitor, Progress]]


class Admission(Struct):
    """The lobby and the places. Each visitor: `arrive`, perhaps `spoke` and `entered`, then `left`.

    `shared` are addresses that all clients share, such as the near end of a relay's tunnel. They
    get no penalties, so one stranger there cannot lock the guests out.
    """

    shared: frozenset[str] = frozenset()
    penalties: Penalties = field(default_factory=Penalties)
    newest_next: bool = False  # of a suspect source the newest has the next turn, not the oldest
    _visitors: dict[Visitor, None] = field(default_factory=dict)  # by arrival
    _contended: bool = False  # a visitor waits for another's place

    def __post_init__(self) -> None:
        self.shared = frozenset(map(source_of, self.shared))

    def arrive(self, peer: str, now: float) -> Visitor:
        """A connection was accepted."""
        visitor = Visitor(source_of(peer), now)
        self._visitors[visitor] = None
        return visitor

    def spoke(self, visitor: Visitor) -> None:
        """It has sent its identification line."""
        visitor.spoke = True

    def entered(self, visitor: Visitor, *, guest: bool) -> None:
        """It logged in and needs no place any more; `guest`: with an invited key."""
        self._visitors.pop(visitor, None)
        if visitor.source not in self.shared:
            self.penalties.forgive(visitor.source)
            if guest:
                self.penalties.know(visitor.source)

    def login_refused(self, visitor: Visitor) -> None:
        """Record that sshd refused a login of it."""
        visitor.login_refused = True

    def excuse(self, visitor: Visitor) -> None:
        """It will leave without a login, which is our fault."""
        visitor.excused = True

    def left(self, visitor: Visitor, now: float) -> None:
        """It is gone. Without a login, its source gets a failure."""
        if visitor in self._visitors:
            del self._visitors[visitor]
            if not visitor.excused and visitor.source not in self.shared:
                self.penalties.failed(visitor.source, now, login=visitor.login_refused)

    def decide(self, now: float, look: Look, *, room: int = MAX_WAITING) -> list[Decision]:
        """Return what to do now. `look` returns a seated visitor's progress, None if unknown.
        `room` is the number of descriptors for waiting visitors; less than 1 counts as 1.
        """
        refused = list(self._refusals(now, max(1, min(room, MAX_WAITING))))
        gone = {refusal.visitor for refusal in refused}
        waiting = [visitor for visitor in self._waiting() if visitor not in gone]
        places = _Places(self, now)
        ended = list(places.silent_too_long(look))
        ready = [visitor for visitor in waiting if visitor.spoke]
        seated, self._contended = places.seat(ready, look)
        if not self._contended:
            seated += places.seat_listeners([visitor for visitor in waiting if not visitor.spoke])
        return [*refused, *ended, *seated]

    def next_look(self, now: float) -> float | None:
        """Return when to decide again without an event; None: not before the next event."""
        listeners = [seated for seated in self._seated() if seated.listens and not seated.ending]
        times = [(listener.seated or now) + LONGEST_SILENCE for listener in listeners]
        room = len(listeners) < SILENT_PLACES and not self._contended
        for visitor in self._waiting():
            times.append(visitor.since + LONGEST_WAIT)
            if room and not visitor.spoke and visitor.since + SILENCE > now:
                times.append(visitor.since + SILENCE)
        if self._contended:
            times.append(now + PACE)
        return min(times, default=None)

    def ban(self, peer: str, now: float) -> Ban | None:
        """Return the ban of this address, if it has one now."""
        source = source_of(peer)
        return None if source in self.shared else self.penalties.ban(source, now)

    def is_suspect(self, source: str, now: float) -> bool:
        return source not in self.shared and self.penalties.is_suspect(source, now)

    def _waiting(self) -> list[Visitor]:
        return [visitor for visitor in self._visitors if visitor.seated is None]

    def _seated(self) -> list[Visitor]:
        return [visitor for visitor in self._visitors if visitor.seated is not None]

    def _refusals(self, now: float, room: int) -> Iterator[Refuse]:
        waiting = []
        for visitor in self._waiting():
            if visitor.source not in self.shared and self.penalties.is_banned(visitor.source, now):
                yield Refuse(visitor, Refusal.BANNED)
            elif visitor.since + LONGEST_WAIT <= now:
                visitor.excused = visitor.spoke  # then there was no place for it
                reason = Refusal.WAITED if visitor.spoke else Refusal.NO_IDENTIFICATION
                yield Refuse(visitor, reason)
            else:
                waiting.append(visitor)
        seated = Counter(other.source for other in self._seated())
        while len(waiting) > room:
            entries = Counter(other.source for other in waiting)
            # The newcomer is the last; it is never the victim.
            victim = min(
                waiting[:-1], key=lambda other: self._expendable(other, entries, seated, now)
            )
            waiting.remove(victim)
            yield Refuse(victim, Refusal.PUSHED_OUT)

    def _expendable(
        self, visitor: Visitor, entries: Counter[str], seated: Counter[str], now: float
    ) -> tuple[float, ...]:
        """Return the sort key of a full lobby: the least is pushed out first."""
        kept = self.penalties.is_known(visitor.source) and entries[visitor.source] <= KEPT_PLACES
        # A client needs up to SILENCE to send its line.
        counts = visitor.spoke or now < visitor.since + SILENCE
        number = entries[visitor.source] + seated[visitor.source]
        return (kept, not self.is_suspect(visitor.source, now), counts, -number, visitor.since)


class _Places:
    """The places at time `now`, while `decide` assigns them."""

    def __init__(self, admission: Admission, now: float) -> None:
        seated = admission._seated()  # noqa: SLF001 - of one file, split for the reader
        self._now = now
        self._shared = admission.shared
        self._admission = admission
        self._is_known = admission.penalties.is_known
        self._listeners = [visitor for visitor in seated if visitor.listens]
        self._taken = [visitor for visitor in seated if not visitor.listens]
        self._held = Counter(visitor.source for visitor in self._taken)
        self._strangers = sum(not self._is_known(visitor.source) for visitor in self._taken)
        self._ending = [visitor for visitor in self._taken if visitor.ending]
        self._leaving = Counter(visitor.source for visitor in self._ending)
        self._promised: Counter[str] = Counter()  # places of ending visitors, by who gets them

    def silent_too_long(self, look: Look) -> Iterator[End]:
        """End listeners that sent nothing; those that did become ordinary visitors."""
        for visitor in tuple(self._listeners):
            if visitor.ending or self._now < (visitor.seated or 0.0) + LONGEST_SILENCE:
                continue
            progress = look(visitor)
            if progress is not None and not progress.received:
                visitor.ending = True
                yield End(visitor, Refusal.NO_IDENTIFICATION)
            else:
                visitor.listens = False
                self._listeners.remove(visitor)
                self._take(visitor)

    def seat(self, ready: list[Visitor], look: Look) -> tuple[list[Decision], bool]:
        """Assign places to `ready`; the second value: whether one of them still waits."""
        decisions: list[Decision] = []
        stalled: _Stalled | None = None
        waits = False
        ready = sorted(ready, key=self._turn)
        while ready:
            visitor = ready.pop(0)
            if self._has_room(visitor):
                visitor.seated = self._now
                self._take(visitor)
                self._admission.newest_next ^= self._is_suspect(visitor)
                decisions.append(Start(visitor))
                ready.sort(key=self._turn)  # by source, one of which has a place more now
                continue
            waits = True
            if stalled is None:
                stalled = self._stalled(look)
            if self._is_promised_a_place(visitor):
                continue
            if victim := self._stalled_for(visitor, stalled):
                decisions.append(self._end(victim, Refusal.STALLED, visitor))
            elif victim := self._beyond_its_share(visitor, look):
                victim.excused = True
                decisions.append(self._end(victim, Refusal.PUSHED_OUT, visitor))
        return decisions, waits

    def seat_listeners(self, silent: list[Visitor]) -> list[Decision]:
        """Start an sshd for those of `silent` that may wait for our line, by arrival."""
        decisions: list[Decision] = []
        for visitor in silent:
            sources = {other.source for other in self._listeners} - self._shared
            if len(self._listeners) >= SILENT_PLACES or visitor.since + SILENCE > self._now:
                break
            if visitor.source not in sources:
                visitor.seated, visitor.listens = self._now, True
                self._listeners.append(visitor)
                decisions.append(Start(visitor))
        return decisions

    def _take(self, visitor: Visitor) -> None:
        self._taken.append(visitor)
        self._held[visitor.source] += 1
        self._strangers += not self._is_known(visitor.source)

    def _is_suspect(self, visitor: Visitor) -> bool:
        return self._admission.is_suspect(visitor.source, self._now)

    def _turn(self, visitor: Visitor) -> tuple[float, ...]:
        """Return the sort key of the queue: the least gets the next place."""
        held = self._held[visitor.source]
        kept = self._is_known(visitor.source) and held < KEPT_PLACES
        suspect = self._is_suspect(visitor)
        # From the address of a flood, the oldest and the newest in turn: a guest behind it arrived
        # after the connections that stay, and before those that come and go.
        newest = suspect and self._admission.newest_next
        return (not kept, suspect, held, -visitor.since if newest else visitor.since)

    def _has_its_share(self, visitor: Visitor) -> bool:
        return self._is_suspect(visitor) and self._held[visitor.source] >= SUSPECT_PLACES

    def _strangers_are_full(self, visitor: Visitor) -> bool:
        most = MAX_PLACES - KEPT_PLACES
        return not self._is_known(visitor.source) and self._strangers >= most

    def _has_room(self, visitor: Visitor) -> bool:
        full = len(self._taken) >= MAX_PLACES or self._strangers_are_full(visitor)
        return not full and not self._has_its_share(visitor)

    def _stalled(self, look: Look) -> _Stalled:
        """Return the visitors whose login has stalled, the first to end first."""
        stalled = [
            (visitor, progress)
            for visitor in self._taken
            if not visitor.ending
            and (progress := look(visitor)) is not None
            and progress.quiet >= STALLED_AFTER
        ]
        stalled.sort(
            key=lambda pair: (
                self._is_known(pair[0].source),
                not self._is_suspect(pair[0]),
                pair[1].received >= LOGIN_UNDER_WAY,
                -self._held[pair[0].source],
                -pair[1].quiet,
            )
        )
        return stalled

    def _is_promised_a_place(self, visitor: Visitor) -> bool:
        """Whether the place of a visitor that is ending already is enough."""
        for other in self._ending:
            if self._would_help(visitor, other):
                self._ending.remove(other)
                self._promised[visitor.source] += 1
                return True
        return False

    def _end(self, victim: Visitor, reason: Refusal, visitor: Visitor) -> End:
        victim.ending = True
        self._leaving[victim.source] += 1
        self._promised[visitor.source] += 1
        return End(victim, reason)

    def _stalled_for(self, visitor: Visitor, stalled: _Stalled) -> Visitor | None:
        """Return the stalled visitor to end for `visitor`."""
        for pair in stalled:
            other, progress = pair
            patient = (
                progress.received >= LOGIN_UNDER_WAY
                and progress.quiet < PAUSED_AFTER
                and not self._is_suspect(other)
                and self._held[other.source] <= self._held[visitor.source] + 1
            )
            if not other.ending and not patient and self._would_help(visitor, other):
                stalled.remove(pair)
                return other
        return None

    def _beyond_its_share(self, visitor: Visitor, look: Look) -> Visitor | None:
        """Return the visitor to end for `visitor` although its login goes on: the oldest of the
        source with the most places, if that keeps as many as the source of `visitor` then has.
        """
        source = visitor.source
        share = self._held[source] - self._leaving[source] + self._promised[source] + 1

        def beyond(other: Visitor) -> int:
            kept = KEPT_PLACES if self._is_known(other.source) else 0
            return self._held[other.source] - self._leaving[other.source] - max(share, kept)

        others = [
            other
            for other in self._taken
            if not other.ending
            and self._now >= (other.seated or 0.0) + FAIR_AFTER
            and (self._is_suspect(other) or not self._is_suspect(visitor))
            and beyond(other) > 0
            and self._would_help(visitor, other)
            and look(other) is not None
        ]
        return max(others, key=lambda other: (beyond(other), -(other.seated or 0.0)), default=None)

    def _would_help(self, visitor: Visitor, other: Visitor) -> bool:
        """Whether `visitor` could have the place of `other`."""
        if self._has_its_share(visitor):
            return other.source == visitor.source
        return not (self._strangers_are_full(visitor) and self._is_known(other.source))
