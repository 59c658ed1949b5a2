"""From what is wished and what is seen, to what must be done; closing before opening.

This covers keys, connections and the door, which are at hand and quick; `core.holding` covers the
gateway, which is far and slow. A plan has no memory, so one that was cut short is simply made
again. "Could not observe" (None) never counts as "absent".
"""

from __future__ import annotations

from collections.abc import Mapping as Map

from msgspec import Struct

from pairingd.core.model import Access, Key, State

LONGEST_SLEEP = 15.0  # seconds; a laptop that wakes must notice within this time


class Grant(Struct, frozen=True):
    """One line of authorized_keys: this key enters on this invitation until then. `ask`: only once
    the host has let it in.
    """

    invitation: str
    key: Key
    expires_at: int
    ask: bool = False


class Desired(Struct, frozen=True):
    """Who may be in, now. `door_port` is where the door should stand if it can, 0 for anywhere."""

    grants: tuple[Grant, ...]
    access: Map[str, Access]
    door_port: int

    @property
    def door(self) -> bool:
        return bool(self.access)


def desired(state: State, now: float) -> Desired:
    """What `state` demands at `now`."""
    live = [one for one in state.live if one.is_open(now)]
    return Desired(
        grants=tuple(
            Grant(one.id, key, one.deadline, one.conditions.ask)
            for one in live
            if not one.rights.used  # whoever is in stays; nobody else comes
            for key in one.keys
        ),
        access={one.id: one.access for one in live},
        door_port=(state.session.door_port or 0) if state.session else 0,
    )


def admits(state: State, now: float) -> bool:
    """Whether anybody may enter at `now`: `desired(...).door`, without reckoning the rest."""
    return any(one.is_open(now) for one in state.live)


NOTHING = Desired(grants=(), access={}, door_port=0)


class Connection(Struct, frozen=True):
    """One `sshd -i`. `invitation` is None until sshd says whose key was accepted, `role` while the
    guest has no terminal.

    `astray`: it is not where a guest must be and does not go there, so that nothing is left but to
    cut it. A guest who may write can have their tmux client run another program in its place
    (tmux(1), detach-client -E).
    """

    pid: int
    authenticated: bool
    invitation: str | None
    astray: bool = False
    role: Access | None = None


class Observed(Struct, frozen=True):
    """`grants` is None where the file could not be read or is not as we would write it."""

    grants: tuple[Grant, ...] | None
    door_port: int | None
    connections: tuple[Connection, ...]


class WriteGrants(Struct, frozen=True):
    grants: tuple[Grant, ...]


class Cut(Struct, frozen=True):
    pid: int


class CloseDoor(Struct, frozen=True):
    pass


class ChangeRole(Struct, frozen=True):
    """Of a guest who is in."""

    pid: int
    access: Access


class OpenDoor(Struct, frozen=True):
    port: int


AccessAction = WriteGrants | Cut | CloseDoor | ChangeRole | OpenDoor


def access(want: Desired, have: Observed) -> list[AccessAction]:
    """Door shut, connections cut, keys out; only then anything opens.

    In this order because the first two are quick and a disk may be slow. Who comes back with a key
    that is still in the file is authenticated for nobody, and cut.
    """
    actions: list[AccessAction] = []
    if not want.door and have.door_port is not None:
        actions.append(CloseDoor())
    actions += [
        Cut(connection.pid)
        for connection in have.connections
        if not want.door
        or connection.astray
        or (connection.authenticated and connection.invitation not in want.access)
    ]
    if have.grants != want.grants:
        actions.append(WriteGrants(want.grants))
    for connection in have.connections:
        role = want.access.get(connection.invitation or "")
        if role and connection.role not in {None, role}:
            actions.append(ChangeRole(connection.pid, role))
    if want.door and have.door_port is None:
        actions.append(OpenDoor(want.door_port))
    return actions


def next_deadline(state: State, now: float) -> float | None:
    """When time alone will change what is desired. None: never, so there is nothing to wake for."""
    times = [
        at
        for one in state.live
        for at in (one.conditions.opens_at, one.deadline, one.idle_at)
        if at is not None and (at > now or at == one.deadline)
    ]
    return min(times, default=None)


def idle(state: State, now: float) -> tuple[str, ...]:
    """The invitations that Rested would end, unless somebody is seen to be active."""
    return tuple(one.id for one in state.live if one.idle_at is not None and one.idle_at <= now)
