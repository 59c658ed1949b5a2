"""Signals that go up a floor, or from one lane to another: the sender does not know who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Signal(Generic[P]):
    """Calls its listeners at once, in the order of `connect`. They cannot disconnect."""

    def __init__(self) -> None:
        self._listeners: list[Callable[P, None]] = []

    def connect(self, listener: Callable[P, None]) -> None:
        self._listeners.append(listener)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for listener in self._listeners:
            listener(*args, **kwargs)


class Signals:
    """Made before all parts; each part connects its own listeners."""

    def __init__(self) -> None:
        self.wishes_changed: Signal[[]] = Signal()
        self.guests_changed: Signal[[str]] = Signal()  # a guest came, left or was refused; in words
        self.terms_changed: Signal[[str]] = Signal()  # invitations or their rights; in words
        # An invitation, by its id, is over by itself; in words
        self.lapsed: Signal[[str, str]] = Signal()
        self.door_changed: Signal[[]] = Signal()  # it opened, or closed
        self.knocked: Signal[[str]] = Signal()  # a refused login, or a ban; in words for the host
        self.guest_came: Signal[[str]] = Signal()  # from that address
        self.guest_answered: Signal[[str]] = Signal()  # logged in, dialed for that invitation
        self.dial_changed: Signal[[str]] = Signal()  # that invitation's guest needs another command
        self.stranger_came: Signal[[str]] = Signal()  # connected from that public address
        self.happened: Signal[[str]] = Signal()  # a line of the history; its kind
        self.guest_waits: Signal[[str]] = Signal()  # for the host's approval; in words
        self.gateway_restarted: Signal[[]] = Signal()  # by its own announcement, or other evidence
        self.opened: Signal[[frozenset[str]]] = Signal()  # scheduled invitations, at their time
        self.endpoint_changed: Signal[[str]] = Signal()  # in words for the host
