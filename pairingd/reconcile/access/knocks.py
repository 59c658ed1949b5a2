"""Refused logins: the host gets one notice for each source, however often it knocks.

Repeated knocks, from the same address for the same reason, add a line to the history each time
their number has doubled, and one for the rest when the session is over. So strangers who knock all
night cost a few lines, and the numbers in a receipt are right.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from pairingd.core import knocks
from pairingd.core.durations import utc
from pairingd.core.knocks import Attempt, Meaning
from pairingd.core.penalties import Ban, source_of
from pairingd.state.intent import Intent

MAX_KNOCKS = 256  # counted separately in one session; further ones together
NOTICE_INTERVAL_S = 10.0  # between two notices of a kind on the host's terminals


class Knock(Struct):
    """Logins that sshd refused, from one address for one reason. `peer` is "" for many."""

    peer: str
    meaning: Meaning
    first_at: float
    last_at: float
    times: int = 0
    written: int = 0  # how many of them the history has


class Knocks:
    """The knocks of the present session. `show` shows a line on the host's terminals."""

    def __init__(self, intent: Intent, show: Callable[[str], None]) -> None:
        self._intent = intent
        self._show = show
        self._session = ""
        self._knocks: dict[tuple[str, str], Knock] = {}  # by peer and reason
        self._shown: set[tuple[str, str]] = set()  # kind and source of each notice
        self._shown_at: dict[str, float] = {}  # the last notice, by kind

    @property
    def of_now(self) -> list[Knock]:
        """The latest first; none once nobody is invited."""
        if not self._intent.state.live:
            return []
        return sorted(self._knocks.values(), key=lambda knock: -knock.last_at)

    def unwritten(self, session: str) -> list[Knock]:
        """Those that the history of this session does not have yet."""
        if session != self._session:
            return []
        return [knock for knock in self._knocks.values() if knock.times > knock.written]

    def refused(self, attempt: Attempt) -> None:
        self.settle()
        now = self._intent.now()
        session = self._intent.state.session
        peer = attempt.peer
        meaning = knocks.refused(session, attempt, now)
        if (peer, meaning.text) not in self._knocks and len(self._knocks) >= MAX_KNOCKS:
            peer = ""
            meaning = Meaning("logins from many addresses failed", meaning.hint)
        new = Knock(peer, meaning, now, now)
        knock = self._knocks.setdefault((peer, meaning.text), new)
        knock.times += 1
        knock.last_at = now
        if knock.times >= 2 * knock.written:
            self._write(knock)
        if knock.meaning.short:  # a stranger's scanner offers no key, and is not worth a line
            self._show_once("refused", attempt.peer, knock.meaning)

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
        self._show_once("banned", peer, meaning)

    def settle(self) -> None:
        """Write all knocks of a session that is over to the history."""
        session = self._intent.state.session
        if session is None or session.id == self._session:
            if session is None or session.ended_at is not None:
                self.write()
            return
        self.write()
        self._session = session.id
        self._knocks.clear()
        self._shown.clear()

    def write(self) -> None:
        """Write what is only counted so far."""
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
            fingerprints=list(knock.meaning.keys),
            times=times,
            message=knock.meaning.text,
            hint=knock.meaning.hint,
            **data,
        )
        knock.written = knock.times

    def _show_once(self, kind: str, peer: str, meaning: Meaning) -> None:
        now, source = self._intent.now(), (kind, source_of(peer))
        if (
            source not in self._shown
            and abs(now - self._shown_at.get(kind, 0.0)) >= NOTICE_INTERVAL_S
        ):
            self._shown.add(source)
            self._shown_at[kind] = now
            self._show(meaning.short)
