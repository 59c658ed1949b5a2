"""What is wished, kept durably: the only place where State changes.

Requests and timers come here as events; the rules decide, the store keeps, the history tells, and
whoever makes the world follow is woken.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from pairingd.core.rules import gives_rights, step
from pairingd.core.text import printable
from pairingd.errors import PairingError, WorldError
from pairingd.signals import Signals
from pairingd.store import Happening, Store

log = logging.getLogger(__name__)

_BACKLOG = 1000  # events a slow listener may fall behind before it is dropped


class Intent:
    """Holds the State, and tells of every change and every trouble.

    `withdrawn` says why invitations that were saved as live are over since the start.
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
        self.unsaved: WorldError | None = None
        self.withdrawn: tuple[WorldError, ...] = ()
        self._store = store
        self._clock = clock
        self._wishes_changed = signals.wishes_changed
        self._terms_changed = signals.terms_changed
        self._happened = signals.happened
        self._listeners: set[asyncio.Queue[Happening | None]] = set()
        if self.state.live:
            self._begin(max_ttl)

    def _begin(self, max_ttl: float) -> None:
        """What was saved holds only as far as no later change and no later time is known."""
        live, now = self._store.live, self._clock()
        marks, behind, latest = live.marks, live.is_behind(now), live.latest
        outdated = [one for one in self.state.live if one.rights not in marks]
        self._change(Begin(marks, behind, max_ttl), max(now, latest) if behind else now)
        if outdated:
            self.withdrawn += (state_outdated(outdated, self.state),)
        if behind:
            self.withdrawn += (clock_behind(now, latest),)
        for why in self.withdrawn:
            self.troubled(why)

    def apply(self, event: Event) -> State:
        """The state after `event`, on the disk. Raises Refused, or WorldError `state-unwritable`,
        and then nothing has changed.

        What only takes rights away holds even where it cannot be saved, for the disk may be full;
        it is saved as soon as it can be, and `unsaved` says why it is not yet, and whether it holds
        for good. What was told holds too, but keeps nobody in or out; the next change saves it.
        """
        now = self._clock()
        if isinstance(event, Invite):  # a session whose time was up is saved before another begins
            self._change(Tick(), now)
        return self._change(event, now)

    def _change(self, event: Event, now: float) -> State:
        before = self.state
        after = step(before, event, now)
        if after != before or self.unsaved is not None:
            try:
                self._store.save(after)
                self.unsaved = None
            except WorldError as unwritable:
                if isinstance(event, CommandPrinted | CommandAnnounced | Active | Dialing):
                    log.warning("%s", unwritable)
                elif gives_rights(before, after) or (
                    isinstance(event, DoorOpened) and after != before
                ):
                    raise
                else:
                    self.unsaved = unsaved(unwritable)
            self.state = after
        if after.live:
            self._store.live.touch(now)
        if after != before:
            with self.together():
                by = "pairingd" if isinstance(event, Begin) else "host"
                self._tell_difference(before, after, by)
            self._wishes_changed()
        return after

    def now(self) -> float:
        return self._clock()

    def live(self, name: str) -> Invitation:
        """The invitation of the live guest whom `name` means. Raises Refused."""
        live = {one.guest: one for one in self.apply(Tick()).live}
        return live[find(name, list(live))]

    def troubled(self, error: PairingError) -> None:
        """Something failed that whoever runs it tries again."""
        self.happened("trouble", error.message, code=error.code, hint=error.hint)

    def happened(self, kind: str, text: str, *, session: str = "", **data: Any) -> None:
        """Write a line of history, about `session` or that of now, and let those who watch know."""
        about = session or (self.state.session.id if self.state.session else None)
        text = printable(text)
        log.info("%s", text, extra={"event": kind, "data": data})
        self._happened(kind)
        try:
            event = self._store.happened(self._clock(), about, kind, text, data)
        except WorldError as error:  # the history is not worth a guest who stays
            log.error("not in the history: %s", error)  # noqa: TRY400 - the cause is all there is
            return
        for listener in tuple(self._listeners):
            try:
                listener.put_nowait(event)
            except asyncio.QueueFull:
                self.forget(listener)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Lines of history that are written as one: the disk is waited for once."""
        try:
            with self._store.together():
                yield
        except WorldError as error:
            log.error("not in the history: %s", error)  # noqa: TRY400 - the cause is all there is

    def listen(self) -> asyncio.Queue[Happening | None]:
        """A queue of all events from now on; None in it is the end. Give it back to `forget`."""
        listener: asyncio.Queue[Happening | None] = asyncio.Queue(_BACKLOG + 1)
        self._listeners.add(listener)
        return listener

    def forget(self, listener: asyncio.Queue[Happening | None]) -> None:
        self._listeners.discard(listener)
        if listener.full():
            listener.get_nowait()
        listener.put_nowait(None)

    def _tell_difference(self, before: State, after: State, by: str) -> None:
        known = {one.id: one for one in before.session.invitations} if before.session else {}
        for one in after.session.invitations if after.session else ():
            old = known.get(one.id)
            if old is None or _terms(old) != _terms(one):
                kind, text = _difference(old, one)
                data: dict[str, Any] = {"expires_at": utc(one.expires_at)}
                if one.cause:
                    data["cause"] = one.cause.value
                if old and one.live:
                    data["changes"] = _changes(old, one, by)
                self.happened(kind, text, invitation=one.id, guest=one.guest, **data)
                if one.live:  # whoever lost all rights is seen to leave
                    self._terms_changed(text)
        if (
            after.session
            and after.session.ended_at
            and not (before.session and before.session.ended_at)
        ):
            self.happened("session-ended", "no one may enter any more")


def _difference(old: Invitation | None, new: Invitation) -> tuple[str, str]:
    if old is None:
        opens_at = new.conditions.opens_at
        time_left = format_duration(new.expires_at - (opens_at or new.issued_at))
        later = f", from {utc(opens_at)} on" if opens_at else ""
        return "invited", f"{new.guest} invited, may {new.access.value}, for {time_left}{later}"
    if new.standing is not Standing.LIVE:
        return new.standing.value, f"{new.guest}: {_why_over(new)}"
    if new.access is not old.access:
        return "role", f"{new.guest} may now {new.access.value}"
    change = new.expires_at - old.expires_at
    direction = "longer" if change > 0 else "less"
    return "extended", f"{new.guest} may stay {format_duration(abs(change))} {direction}"


def _changes(old: Invitation, new: Invitation, by: str) -> list[dict[str, str]]:
    """For the receipt."""
    terms = (
        ("role", old.access.value, new.access.value),
        ("deadline", utc(old.expires_at), utc(new.expires_at)),
    )
    return [
        {"what": what, "from": before, "to": after, "by": by}
        for what, before, after in terms
        if before != after
    ]


def _terms(one: Invitation) -> tuple[object, ...]:
    """What the history tells of; that somebody comes and goes, it tells otherwise."""
    return one.standing, one.access, one.expires_at


def _why_over(one: Invitation) -> str:
    match one.cause:
        case Cause.EXPIRED if one.over_at != one.expires_at:
            return "did not come in time"
        case Cause.EXPIRED | Cause.IDLE | Cause.USED:
            return causes.WORDS[one.cause]
        case _:
            return f"invitation {one.standing.value}"


def unsaved(unwritable: WorldError) -> WorldError:
    """What was taken away, and could not be saved: for how long it holds."""
    if unwritable.code == "not-durable":
        return WorldError(
            unwritable.code,
            f"it holds only while this pairingd runs, because {unwritable.message}",
            f"{unwritable.hint} before pairingd ends; then it is saved",
        )
    return WorldError(
        unwritable.code,
        f"it holds for good, but its history is not saved yet: {unwritable.message}",
        unwritable.hint,
    )


def state_outdated(outdated: Sequence[Invitation], now: State) -> WorldError:
    live = {one.id: one for one in now.live}
    over = ", ".join(one.guest for one in outdated if one.id not in live)
    lesser = [
        f"{one.guest}: may {live[one.id].access.value} until {utc(live[one.id].expires_at)}"
        for one in outdated
        if one.id in live
    ]
    changed = "; ".join([*([f"{over}: no longer invited"] if over else []), *lesser])
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
