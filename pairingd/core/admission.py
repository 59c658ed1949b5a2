"""Which accepted connection gets an sshd, which waits for one, and which has to go.

An sshd costs a process, and a stranger may ask for any number of them. So a connection waits in the
lobby, where it costs a descriptor, until its client has sent its identification line (RFC 4253
§4.2) and one of MAX_PLACES is free. sshd_config(5) MaxStartups and PerSourceMaxStartups cannot do
this: each sshd has one connection. `Admission.decide` is the whole law: called after every event
and when `next_look` says so; what it decides holds once the decisions are carried out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum

from msgspec import Struct, field

from pairingd.core.penalties import Ban, Penalties, source_of

MAX_PLACES = 64  # sshds at once in which nobody has logged in yet
KEPT_PLACES = 4  # of these, for sources that a guest has entered from
SUSPECT_PLACES = 4  # of these, for one source whose connections keep failing
MAX_WAITING = 64  # accepted sockets without an sshd
LONGEST_WAIT = 10.0  # seconds for a place
MAX_PER_GUEST = 8  # authenticated at once; each is a process, for a guest who may only read, too
LOGIN_GRACE = 20.0  # seconds to authenticate

# Clients that wait for the server's identification line, such as ssh-keyscan(1), are silent, and
# so are those that only hold a connection. Few of them get an sshd at a time, and not for long.
SILENCE = 1.0  # seconds before a silent peer is taken for one that waits for our line
SILENT_PLACES = 2  # beside MAX_PLACES, one a source
LONGEST_SILENCE = 3.0  # seconds that a silent peer may have an sshd

# Only while somebody waits for their place: seconds in which sshd had nothing to answer, and the
# same of a client in mid-login: somebody may be reading a fingerprint.
STALLED_AFTER, PAUSED_AFTER = 1.5, 3.0
LOGIN_UNDER_WAY = 512  # bytes received: more than a line, so the key exchange has begun
PACE = 0.25  # seconds from one look for who gives way to the next
FAIR_AFTER = 1.0  # seconds, thrice a login, that a place beyond a source's share is safe


class Refusal(Enum):
    """Why a connection is closed. The words are for the person at the other end."""

    NO_IDENTIFICATION = "this is an SSH server, and your client sent no SSH identification"
    NOT_SSH = "this is an SSH server"
    BANNED = "too many failed logins from your address; try again in 5 minutes"
    PUSHED_OUT = "too many connections; try again"
    WAITED = "no free place; try again"
    STALLED = "your client stopped while others wait; try again"
    NO_RESOURCES = "the host is out of resources; try again"
    CLOSED = "the session is over"


class Visitor(Struct, eq=False):
    """One accepted connection until it has logged in or gone. Only Admission changes it."""

    source: str
    since: float  # when it was accepted
    spoke: bool = False  # its client has sent its identification line
    seated: float | None = None  # since when it has an sshd
    listens: bool = False  # it got that sshd although it is silent
    ending: bool = False  # that sshd is being ended
    login_refused: bool = False  # by sshd
    excused: bool = False  # it failed, but not by its own fault


class Progress(Struct, frozen=True):
    """What the kernel knows of a connection whose sshd works on a login."""

    quiet: float  # seconds for which the peer has owed us bytes; 0 where it is sshd's turn
    received: int  # bytes


class Start(Struct, frozen=True):
    """Give it an sshd."""

    visitor: Visitor


class Refuse(Struct, frozen=True):
    """Close it, with that reason. Then call `left`. It has no sshd."""

    visitor: Visitor
    reason: Refusal


class End(Struct, frozen=True):
    """End its sshd: somebody else needs the place, or it has not spoken. Call `left` when gone."""

    visitor: Visitor
    reason: Refusal


Decision = Start | Refuse | End
Look = Callable[[Visitor], Progress | None]


class Admission(Struct):
    """The lobby and the places. Each visitor: `arrive`, perhaps `spoke` and `entered`, then `left`.

    `shared` are addresses behind which everybody stands, such as the near end of a relay's tunnel:
    one stranger there must not lock the guests out, so nothing is held against them.
    """

    shared: frozenset[str] = frozenset()
    penalties: Penalties = field(default_factory=Penalties)
    newest_next: bool = False  # whose turn it is among those of one suspect source
    _visitors: dict[Visitor, None] = field(default_factory=dict)  # in the order they came
    _contended: bool = False  # somebody waits for another one to give way

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
        """It logged in, so it holds no place any more; `guest`: by a key that is invited."""
        self._visitors.pop(visitor, None)
        if visitor.source not in self.shared:
            self.penalties.forgive(visitor.source)
            if guest:
                self.penalties.know(visitor.source)

    def login_refused(self, visitor: Visitor) -> None:
        """A login of it was refused by sshd."""
        visitor.login_refused = True

    def excuse(self, visitor: Visitor) -> None:
        """It will go without a login, and that is our fault."""
        visitor.excused = True

    def left(self, visitor: Visitor, now: float) -> None:
        """It is gone. Without a login, that is a failure of its source."""
        if visitor in self._visitors:
            del self._visitors[visitor]
            if not visitor.excused and visitor.source not in self.shared:
                self.penalties.failed(visitor.source, now, login=visitor.login_refused)

    def decide(self, now: float, look: Look, *, room: int = MAX_WAITING) -> list[Decision]:
        """What is to be done now. `look` tells how far a seated visitor's login is, if it can.

        `room`: for how many waiting ones there are descriptors; one is always let in.
        """
        refused = list(self._refusals(now, max(1, min(room, MAX_WAITING))))
        gone = {one.visitor for one in refused}
        waiting = [one for one in self._waiting() if one not in gone]
        places = _Places(self, now)
        ended = list(places.silent_too_long(look))
        seated, self._contended = places.seat([one for one in waiting if one.spoke], look)
        if not self._contended:
            seated += places.seat_listeners([one for one in waiting if not one.spoke])
        return [*refused, *ended, *seated]

    def next_look(self, now: float) -> float | None:
        """When to decide again though nothing happens; None: not before something does."""
        listeners = [one for one in self._seated() if one.listens and not one.ending]
        times = [(one.seated or now) + LONGEST_SILENCE for one in listeners]
        room = len(listeners) < SILENT_PLACES and not self._contended
        for one in self._waiting():
            times.append(one.since + LONGEST_WAIT)
            if room and not one.spoke and one.since + SILENCE > now:
                times.append(one.since + SILENCE)
        if self._contended:
            times.append(now + PACE)
        return min(times, default=None)

    def ban(self, peer: str, now: float) -> Ban | None:
        """That keeps this address out now."""
        source = source_of(peer)
        return None if source in self.shared else self.penalties.ban(source, now)

    def is_suspect(self, source: str, now: float) -> bool:
        return source not in self.shared and self.penalties.is_suspect(source, now)

    def _waiting(self) -> list[Visitor]:
        return [one for one in self._visitors if one.seated is None]

    def _seated(self) -> list[Visitor]:
        return [one for one in self._visitors if one.seated is not None]

    def _refusals(self, now: float, room: int) -> Iterator[Refuse]:
        waiting = []
        for one in self._waiting():
            if one.source not in self.shared and self.penalties.is_banned(one.source, now):
                yield Refuse(one, Refusal.BANNED)
            elif one.since + LONGEST_WAIT <= now:
                one.excused = one.spoke  # then there was no place for it
                yield Refuse(one, Refusal.WAITED if one.spoke else Refusal.NO_IDENTIFICATION)
            else:
                waiting.append(one)
        seated = Counter(one.source for one in self._seated())
        while len(waiting) > room:
            entries = Counter(one.source for one in waiting)
            # The newcomer is the last; it does not push itself out.
            victim = min(waiting[:-1], key=lambda one: self._expendable(one, entries, seated, now))
            waiting.remove(victim)
            yield Refuse(victim, Refusal.PUSHED_OUT)

    def _expendable(
        self, one: Visitor, entries: Counter[str], seated: Counter[str], now: float
    ) -> tuple[float, ...]:
        """The least is the first to be pushed out of a full lobby."""
        kept = self.penalties.is_known(one.source) and entries[one.source] <= KEPT_PLACES
        # A client speaks as soon as it is connected, but not in that very moment.
        counts = one.spoke or now < one.since + SILENCE
        number = entries[one.source] + seated[one.source]
        return (kept, not self.is_suspect(one.source, now), counts, -number, one.since)


class _Places:
    """The places as they are at one moment, while they are given away."""

    def __init__(self, admission: Admission, now: float) -> None:
        seated = admission._seated()  # noqa: SLF001 - of one file, split for the reader
        self._now = now
        self._shared = admission.shared
        self._admission = admission
        self._is_known = admission.penalties.is_known
        self._listeners = [one for one in seated if one.listens]
        self._taken = [one for one in seated if not one.listens]
        self._of = Counter(one.source for one in self._taken)
        self._strangers = sum(not self._is_known(one.source) for one in self._taken)
        self._giving_way = [one for one in self._taken if one.ending]
        self._leaving = Counter(one.source for one in self._giving_way)
        self._promised: Counter[str] = Counter()  # places of those that give way

    def silent_too_long(self, look: Look) -> Iterator[End]:
        """Listeners that have not said a word; the others become visitors like any other."""
        for one in tuple(self._listeners):
            if one.ending or self._now < (one.seated or 0.0) + LONGEST_SILENCE:
                continue
            progress = look(one)
            if progress is not None and not progress.received:
                one.ending = True
                yield End(one, Refusal.NO_IDENTIFICATION)
            else:
                one.listens = False
                self._listeners.remove(one)
                self._take(one)

    def seat(self, ready: list[Visitor], look: Look) -> tuple[list[Decision], bool]:
        """Places for `ready`, and whether somebody among them still waits for one."""
        decisions: list[Decision] = []
        stalled: list[tuple[Visitor, Progress]] | None = None
        waits = False
        ready = sorted(ready, key=self._turn)
        while ready:
            one = ready.pop(0)
            if self._has_room(one):
                one.seated = self._now
                self._take(one)
                self._admission.newest_next ^= self._is_suspect(one)
                decisions.append(Start(one))
                ready.sort(key=self._turn)  # fair by source, and one of them has a place more
                continue
            waits = True
            if stalled is None:
                stalled = self._stalled(look)
            if self._is_promised_a_place(one):
                continue
            if victim := self._stalled_for(one, stalled):
                decisions.append(self._end(victim, Refusal.STALLED, one))
            elif victim := self._beyond_its_share(one, look):
                victim.excused = True
                decisions.append(self._end(victim, Refusal.PUSHED_OUT, one))
        return decisions, waits

    def seat_listeners(self, silent: list[Visitor]) -> list[Decision]:
        """Those of `silent` who may be waiting for our line, in the order they came."""
        decisions: list[Decision] = []
        for one in silent:
            sources = {other.source for other in self._listeners} - self._shared
            if len(self._listeners) >= SILENT_PLACES or one.since + SILENCE > self._now:
                break
            if one.source not in sources:
                one.seated, one.listens = self._now, True
                self._listeners.append(one)
                decisions.append(Start(one))
        return decisions

    def _take(self, one: Visitor) -> None:
        self._taken.append(one)
        self._of[one.source] += 1
        self._strangers += not self._is_known(one.source)

    def _is_suspect(self, one: Visitor) -> bool:
        return self._admission.is_suspect(one.source, self._now)

    def _turn(self, one: Visitor) -> tuple[float, ...]:
        """The least has the next place."""
        held = self._of[one.source]
        kept = self._is_known(one.source) and held < KEPT_PLACES
        suspect = self._is_suspect(one)
        # From the address of a flood, the oldest and the newest in turn: a guest behind it has come
        # after those who stay, and before those who come and go.
        newest = suspect and self._admission.newest_next
        return (not kept, suspect, held, -one.since if newest else one.since)

    def _has_its_share(self, one: Visitor) -> bool:
        return self._is_suspect(one) and self._of[one.source] >= SUSPECT_PLACES

    def _strangers_are_full(self, one: Visitor) -> bool:
        most = MAX_PLACES - KEPT_PLACES
        return not self._is_known(one.source) and self._strangers >= most

    def _has_room(self, one: Visitor) -> bool:
        full = len(self._taken) >= MAX_PLACES or self._strangers_are_full(one)
        return not full and not self._has_its_share(one)

    def _stalled(self, look: Look) -> list[tuple[Visitor, Progress]]:
        """Whose login does not go on; the one least missed is the first."""
        found = [
            (one, progress)
            for one in self._taken
            if not one.ending
            and (progress := look(one)) is not None
            and progress.quiet >= STALLED_AFTER
        ]
        found.sort(
            key=lambda pair: (
                self._is_known(pair[0].source),
                not self._is_suspect(pair[0]),
                pair[1].received >= LOGIN_UNDER_WAY,
                -self._of[pair[0].source],
                -pair[1].quiet,
            )
        )
        return found

    def _is_promised_a_place(self, one: Visitor) -> bool:
        """Whether one that is being ended already will do."""
        for other in self._giving_way:
            if self._would_help(one, other):
                self._giving_way.remove(other)
                self._promised[one.source] += 1
                return True
        return False

    def _end(self, victim: Visitor, reason: Refusal, one: Visitor) -> End:
        victim.ending = True
        self._leaving[victim.source] += 1
        self._promised[one.source] += 1
        return End(victim, reason)

    def _stalled_for(self, one: Visitor, stalled: list[tuple[Visitor, Progress]]) -> Visitor | None:
        """The stalled visitor to end for `one`."""
        for pair in stalled:
            other, progress = pair
            patient = (
                progress.received >= LOGIN_UNDER_WAY
                and progress.quiet < PAUSED_AFTER
                and not self._is_suspect(other)
                and self._of[other.source] <= self._of[one.source] + 1
            )
            if not other.ending and not patient and self._would_help(one, other):
                stalled.remove(pair)
                return other
        return None

    def _beyond_its_share(self, one: Visitor, look: Look) -> Visitor | None:
        """The one to end for `one` although its login goes on: the oldest of the source with the
        most places, if that keeps as many as the source of `one` then has.
        """
        share = self._of[one.source] - self._leaving[one.source] + self._promised[one.source] + 1

        def beyond(other: Visitor) -> int:
            kept = KEPT_PLACES if self._is_known(other.source) else 0
            return self._of[other.source] - self._leaving[other.source] - max(share, kept)

        found = [
            other
            for other in self._taken
            if not other.ending
            and self._now >= (other.seated or 0.0) + FAIR_AFTER
            and (self._is_suspect(other) or not self._is_suspect(one))
            and beyond(other) > 0
            and self._would_help(one, other)
            and look(other) is not None
        ]
        return max(found, key=lambda other: (beyond(other), -(other.seated or 0.0)), default=None)

    def _would_help(self, one: Visitor, other: Visitor) -> bool:
        """Whether `one` could have the place of `other`."""
        if self._has_its_share(one):
            return other.source == one.source
        return not (self._strangers_are_full(one) and self._is_known(other.source))
