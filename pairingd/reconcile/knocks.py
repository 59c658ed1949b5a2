"""Who knocks and is not let in: told once each, however often they come.

A repeated knock, from the same address with the same keys, is a line of the history when their
number has doubled, and for the rest when the session is over. So strangers who knock all night
cost a few lines, and the numbers in a receipt are right.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from pairingd.core import knocks
from pairingd.core.durations import utc
from pairingd.core.knocks import Attempt, Meaning
from pairingd.core.penalties import Ban, source_of
from pairingd.intent import Intent

MAX_KNOCKS = 256  # told apart in one session; further ones are counted together
TOLD_APART_S = 10.0  # on the host's terminals, whoever knocks

_Key = tuple[str, tuple[str, ...]]


class Knock(Struct):
    """Logins that sshd refused, from one address and with the same keys. `peer` "": from many."""

    peer: str
    offered: tuple[str, ...]
    meaning: Meaning
    first_at: float
    last_at: float
    times: int = 0
    written: int = 0  # of these, in the history


class Knocks:
    """Of the session under way. `tell` brings a line to the host's terminals."""

    def __init__(self, intent: Intent, tell: Callable[[str], None]) -> None:
        self._intent = intent
        self._tell = tell
        self._session = ""
        self._knocks: dict[_Key, Knock] = {}
        self._told: set[tuple[str, str]] = set()  # of what, and of which source
        self._told_at: dict[str, float] = {}  # of what, when last

    @property
    def of_now(self) -> list[Knock]:
        """The latest first; none once nobody may enter any more."""
        if not self._intent.state.live:
            return []
        return sorted(self._knocks.values(), key=lambda one: -one.last_at)

    def unwritten(self, session: str) -> list[Knock]:
        """That are not in the history of this session yet."""
        if session != self._session:
            return []
        return [one for one in self._knocks.values() if one.times > one.written]

    def refused(self, attempt: Attempt) -> None:
        self.settle()
        now = self._intent.now()
        session = self._intent.state.session
        key = (attempt.peer, attempt.offered)
        if key not in self._knocks and len(self._knocks) >= MAX_KNOCKS:
            key = ("", ())
        if key not in self._knocks:
            meaning = knocks.refused(session, attempt, now)
            if key == ("", ()):
                meaning = Meaning("logins from many addresses failed", meaning.hint)
            self._knocks[key] = Knock(key[0], key[1], meaning, now, now)
        knock = self._knocks[key]
        knock.times += 1
        knock.last_at = now
        if knock.times >= 2 * knock.written:
            self._write(knock)
        if knock.meaning.short:  # a stranger's scanner offers no key, and is not worth a line
            self._tell_once("refused", attempt.peer, knock.meaning)

    def banned(self, peer: str, ban: Ban) -> None:
        self.settle()
        meaning = knocks.banned(peer, ban)
        self._intent.happened(
            "banned",
            meaning.text,
            peer=peer,
            seconds=int(ban.seconds),
            until=utc(ban.until),
            hint=meaning.hint,
        )
        self._tell_once("banned", peer, meaning)

    def settle(self) -> None:
        """A session that is over has all its knocks in the history."""
        session = self._intent.state.session
        if session is None or session.id == self._session:
            if session is None or session.ended_at is not None:
                self.write()
            return
        self.write()
        self._session = session.id
        self._knocks.clear()
        self._told.clear()

    def write(self) -> None:
        """What is only counted yet."""
        for knock in self.unwritten(self._session):
            self._write(knock)

    def _write(self, knock: Knock) -> None:
        times = knock.times - knock.written
        again = f" ({knock.times} times)" if knock.times > 1 else ""
        data = {"guest": knock.meaning.guest} if knock.meaning.guest else {}
        self._intent.happened(
            "refused",
            knock.meaning.text + again,
            session=self._session,
            peer=knock.peer,
            fingerprints=list(knock.offered),
            times=times,
            hint=knock.meaning.hint,
            **data,
        )
        knock.written = knock.times

    def _tell_once(self, kind: str, peer: str, meaning: Meaning) -> None:
        now, who = self._intent.now(), (kind, source_of(peer))
        if who not in self._told and abs(now - self._told_at.get(kind, 0.0)) >= TOLD_APART_S:
            self._told.add(who)
            self._told_at[kind] = now
            self._tell(meaning.short)
