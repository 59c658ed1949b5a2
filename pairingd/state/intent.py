"""The intent, stored durably: the only place where State changes.

Requests and timers arrive as events. The rules decide, the store saves, the history gets a line,
and the lanes are woken.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

from pairingd.core import causes
from pairingd.core.durations import format_duration, utc
from pairingd.core.events import (
    Active,
    Begin,
    CommandAnnounced,
    CommandPrinted,
    Dialing,
    DoorOpened,
    Event,
    Invite,
    Tick,
)
from pairingd.core.guest import find
from pairingd.core.model import Cause, Invitation, Standing, State
from pairingd.core.notices import LONG_ACCESS
from pairingd.core.rules import gives_rights, step
from pairingd.core.text import printable
from pairingd.errors import PairingError, WorldError
from pairingd.signals import Signals
from pairingd.state.history import Happening, Line
from pairingd.state.store import Store

log = logging.getLogger(__name__)

_MAX_BACKLOG_EVENTS = 1000  # unread, before a slow listener is dropped
_MAX_UNWRITTEN_LINES = 1000  # of history, kept for a disk that takes nothing now


class Intent:
    """Holds the State, and reports every change and every trouble.

    `unwritable` is why the state, or its history, is not on disk; the next event saves both.
    `withdrawn` has the reasons why invitations that were saved as live are over since the start.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        signals: Signals,
        *,
        max_ttl: float = math.inf,
    ) -> None:
        self.state: State = store.state()
        self.unwritable: WorldError | None = None
        self.withdrawn: tuple[WorldError, ...] = ()
        self._store = store
        self._clock = clock
        self._wishes_changed = signals.wishes_changed
        self._terms_changed = signals.terms_changed
        self._lapsed = signals.lapsed
        self._happened = signals.happened
        self._listeners: set[asyncio.Queue[Happening | None]] = set()
        self._unwritten: deque[Line] = deque(maxlen=_MAX_UNWRITTEN_LINES)
        self._gathering = False
        if self.state.live:
            self._begin(max_ttl)

    def _begin(self, max_ttl: float) -> None:
        """Reduce the saved state to what the marks and the latest time seen allow."""
        live, now = self._store.live, self._clock()
        marks, behind, latest = live.marks, live.is_behind(now), live.latest
        outdated = [invitation for invitation in self.state.live if invitation.rights not in marks]
        self._change(Begin(marks, behind, max_ttl), max(now, latest) if behind else now)
        if not self.unwritable:  # a daemon may have been killed between a save and this
            self._store.settle(self.state)
        if outdated:
            self.withdrawn += (state_outdated(outdated, self.state),)
        if behind:
            self.withdrawn += (clock_behind(now, latest),)
        for error in self.withdrawn:
            self.troubled(error)

    def apply(self, event: Event) -> State:
        """Return the state after `event`, saved on disk. Raises Refused, or WorldError
        `state-unwritable`; then nothing has changed.

        An event that only takes rights away holds even if it cannot be saved, because the disk may
        be full. The next event saves it. Until then `unwritable` has the reason, and `unsaved` says
        whether it holds for good. Events that neither give nor take rights hold too; the next
        change saves them.
        """
        now = self._clock()
        if isinstance(event, Invite):  # saves an expired session before another begins
            self._change(Tick(), now)
        return self._change(event, now)

    def _change(self, event: Event, now: float) -> State:
        before = self.state
        after = step(before, event, now)
        by = "pairingd" if isinstance(event, Begin) else "host"
        news = [*_news(before, after, by)] if after != before else []
        if after != before or self.unwritable is not None:
            at, session = self._clock(), after.session.id if after.session else None
            self._save(event, after, [(at, session, *line) for line, _ in news])
            self.state = after
        if after.live:
            self._store.live.touch(now)
        for line, invitation in news:
            self._report(*line)
            if invitation and invitation.live:
                self._terms_changed(line[1])
            elif invitation and invitation.cause in {Cause.EXPIRED, Cause.IDLE}:
                self._lapsed(invitation.id, line[1])
        if after != before:
            self._wishes_changed()
        return after

    def _save(self, event: Event, after: State, lines: Sequence[Line]) -> None:
        """Save `after`, which `event` makes of the state, and its lines of the history."""
        try:
            self._publish(self._store.save(after, [*self._unwritten, *lines]))
            self.unwritable = None
        except WorldError as unwritable:
            if isinstance(event, CommandPrinted | CommandAnnounced | Active | Dialing):
                log.warning("%s", unwritable)
            elif gives_rights(self.state, after) or (
                isinstance(event, DoorOpened) and after != self.state
            ):
                raise
            else:
                self.unwritable = unwritable
            self._unwritten += lines
        except Exception:  # a defect in one line must not keep out all that follow
            self._unwritten.clear()
            raise

    @property
    def unsaved(self) -> WorldError | None:
        """Why what was taken away is not on disk, and how long it holds."""
        return self.unwritable and unsaved(self.unwritable)

    def now(self) -> float:
        return self._clock()

    def live(self, name: str) -> Invitation:
        """Return the invitation of the live guest whom `name` matches. Raises Refused."""
        live = {invitation.guest: invitation for invitation in self.apply(Tick()).live}
        return live[find(name, list(live))]

    def troubled(self, error: PairingError) -> None:
        """Record a failure that the caller retries."""
        self.happened("trouble", error.message, code=error.code, hint=error.hint)

    def happened(self, kind: str, text: str, *, session: str = "", **data: Any) -> None:
        """Write a line of history, about `session` or the current one, and notify the listeners."""
        self.happened_at(self._clock(), kind, text, data, session)

    def happened_at(
        self, at: float, kind: str, text: str, data: dict[str, Any], session: str
    ) -> None:
        """As `happened`, of something that is only known now."""
        session_id = session or (self.state.session.id if self.state.session else None)
        text = printable(text)
        self._report(kind, text, data)
        self._unwritten.append((at, session_id, kind, text, data))
        if not self._gathering:
            self._write_history_soon()

    def _report(self, kind: str, text: str, data: dict[str, Any]) -> None:
        log.info("%s", text, extra={"event": kind, "data": data})
        self._happened(kind)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write lines of history in one transaction, to wait for the disk once."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self._write_history_soon()

    def _write_history_soon(self) -> None:
        """At once, or else in the access lane's next passes."""
        known = self.unwritable
        self._write_history()
        if self.unwritable and not known:
            self._wishes_changed()

    def _write_history(self) -> None:
        """Write the lines that are not on disk yet, and notify the listeners of them. If the disk
        does not take them, the guest must go even so: a later call tries again.
        """
        try:
            with self._store.together():
                written = [self._store.happened(*line) for line in self._unwritten]
        except WorldError as error:
            self.unwritable = self.unwritable or error
            log.error("not in the history yet: %s", error)  # noqa: TRY400 - the cause is all there is
            return
        except Exception:  # a defect in one line must not keep out all that follow
            self._unwritten.clear()
            raise
        self._publish(written)

    def _publish(self, written: Sequence[Happening]) -> None:
        """Send the listeners what is on disk now, which is all."""
        self._unwritten.clear()
        for event in written:
            for listener in tuple(self._listeners):
                try:
                    listener.put_nowait(event)
                except asyncio.QueueFull:
                    self.forget(listener)

    def listen(self) -> asyncio.Queue[Happening | None]:
        """Return a queue of all later events; None ends it. Pass it to `forget` when done."""
        listener: asyncio.Queue[Happening | None] = asyncio.Queue(_MAX_BACKLOG_EVENTS + 1)
        self._listeners.add(listener)
        return listener

    def forget(self, listener: asyncio.Queue[Happening | None]) -> None:
        self._listeners.discard(listener)
        if listener.full():
            listener.get_nowait()
        listener.put_nowait(None)


def _news(
    before: State, after: State, by: str
) -> Iterator[tuple[tuple[str, str, dict[str, Any]], Invitation | None]]:
    """Yield the lines of history for what has changed: kind, text and data, and whose it is."""
    if after.session is None:
        return
    same = before.session and before.session.id == after.session.id
    known = before.session.invitations if before.session and same else ()
    for old, invitation in zip(chain(known, repeat(None)), after.session.invitations, strict=False):
        if old is invitation or (old and _terms(old) == _terms(invitation)):
            continue
        kind, text = _difference(old, invitation)
        data: dict[str, Any] = {"invitation": invitation.id, "guest": invitation.guest}
        data["expires_at"] = utc(invitation.expires_at)
        if invitation.cause:
            data["cause"] = invitation.cause.value
        if old and invitation.live:
            data["changes"] = _changes(old, invitation, by)
        yield (kind, printable(text), data), invitation
    had_ended = before.session and before.session.ended_at
    if after.session.ended_at and not had_ended:
        yield ("session-ended", "no one may enter any more", {}), None


def _difference(old: Invitation | None, new: Invitation) -> tuple[str, str]:
    if old is None:
        opens_at = new.conditions.opens_at
        time_left = format_duration(new.expires_at - (opens_at or new.issued_at))
        later = f", from {utc(opens_at)} on" if opens_at else ""
        return "invited", f"{new.guest} invited {LONG_ACCESS[new.access]} for {time_left}{later}"
    if new.standing is not Standing.LIVE:
        return new.standing.value, f"{new.guest}: {_end_reason(new)}"
    if new.access is not old.access:
        return "role", f"{new.guest} is now {LONG_ACCESS[new.access]}"
    change = new.expires_at - old.expires_at
    direction = "longer" if change > 0 else "less"
    by = f"{format_duration(abs(change))} {direction}"
    return "extended", f"{new.guest} may stay {by}, until {utc(new.expires_at)}"


def _changes(old: Invitation, new: Invitation, by: str) -> list[dict[str, str]]:
    """Return the changed terms, for the receipt."""
    terms = (
        ("role", old.access.value, new.access.value),
        ("deadline", utc(old.expires_at), utc(new.expires_at)),
    )
    return [
        {"what": term, "from": before, "to": after, "by": by}
        for term, before, after in terms
        if before != after
    ]


def _terms(invitation: Invitation) -> tuple[object, ...]:
    """Return the fields whose changes go to the history; visits have lines of their own."""
    return invitation.standing, invitation.access, invitation.expires_at


def _end_reason(invitation: Invitation) -> str:
    match invitation.cause:
        case Cause.EXPIRED if invitation.over_at != invitation.expires_at:
            return "did not come in time"
        case Cause.EXPIRED | Cause.IDLE | Cause.USED:
            return causes.WORDS[invitation.cause]
        case _:
            return f"invitation {invitation.standing.value}"


def unsaved(unwritable: WorldError) -> WorldError:
    """Return the error for rights whose loss could not be saved: how long it holds."""
    if unwritable.code == "not-durable":
        return WorldError(
            unwritable.code,
            f"the change holds only while this pairingd runs, because {unwritable.message}",
            f"{unwritable.hint} before pairingd ends; then it is saved",
        )
    return WorldError(
        unwritable.code,
        f"the change holds for good, but its history is not saved yet: {unwritable.message}",
        unwritable.hint,
    )


def state_outdated(outdated: Sequence[Invitation], now: State) -> WorldError:
    live = {invitation.id: invitation for invitation in now.live}
    ended = ", ".join(invitation.guest for invitation in outdated if invitation.id not in live)
    reduced = [
        f"{kept.guest}: {LONG_ACCESS[kept.access]} until {utc(kept.expires_at)}"
        for kept in (live[invitation.id] for invitation in outdated if invitation.id in live)
    ]
    changed = "; ".join([*([f"{ended}: no longer invited"] if ended else []), *reduced])
    return WorldError(
        "state-outdated",
        f"the saved state is older than the last change of {changed}",
        "causes: a full disk, a damaged or old state.db; pairctl invite, role and extend change it",
    )


def clock_behind(now: float, latest: float) -> WorldError:
    return WorldError(
        "clock-behind",
        f"the clock says {utc(now)}, but it was {utc(latest)} already: no one is invited any more",
        "set the clock, then invite your guests again: pairctl invite",
    )
