"""Compare the desired with the observed and return the actions; closing before opening.

This covers keys, connections and the door, which are local and quick; `core.holding` covers the
gateway, which is remote and slow. A plan has no memory, so after an interruption the next pass
makes another. "Could not observe" (None) never counts as "absent".
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Sequence

from msgspec import Struct

from pairingd.core.model import Access, Grant, Invitation, State

LONGEST_SLEEP_S = 15.0  # seconds within which pairingd notices that a laptop woke


class Desired(Struct, frozen=True):
    """Who may be in now. `door_port` is the preferred port of the door, 0 for any."""

    grants: tuple[Grant, ...]
    access: Map[str, Access]
    door_port: int

    @property
    def door(self) -> bool:
        return bool(self.access)


def desired(state: State, now: float) -> Desired:
    """Return what `state` demands at `now`."""
    live = opened(state, now)
    return Desired(
        grants=tuple(grant for invitation in live for grant in invitation.grants),
        access={invitation.id: invitation.access for invitation in live},
        door_port=(state.session.door_port or 0) if state.session else 0,
    )


def admits(state: State, now: float) -> bool:
    """Whether anybody may enter at `now`: `desired(...).door`, without computing the rest."""
    return any(invitation.is_open(now) for invitation in state.live)


def opened(state: State, now: float) -> Sequence[Invitation]:
    """Return the invitations on which guests may enter at `now`."""
    session = state.session
    if session and now < session.first_deadline and not session.timed:
        return session.live
    return [invitation for invitation in state.live if invitation.is_open(now)]


NOTHING = Desired(grants=(), access={}, door_port=0)


class Connection(Struct, frozen=True):
    """One `sshd -i`. `invitation` is None until sshd reports the accepted key, `role` while the
    guest has no terminal.

    `astray`: it is outside the shared session and cannot be led back, so it must be cut. A write
    guest can make their tmux client run another program instead (tmux(1), detach-client -E).
    """

    pid: int
    authenticated: bool
    invitation: str | None
    astray: bool = False
    role: Access | None = None


class Observed(Struct, frozen=True):
    """`grants` is None if the file is unreadable or differs from what we would write."""

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
    """Change the role of a guest who is in."""

    pid: int
    access: Access


class OpenDoor(Struct, frozen=True):
    port: int


AccessAction = WriteGrants | Cut | CloseDoor | ChangeRole | OpenDoor


def access(want: Desired, have: Observed) -> list[AccessAction]:
    """Close the door, cut connections, remove keys; only then open anything.

    In this order because the first two are quick and a disk may be slow. A connection with a key
    that is still in the file has no invitation, so it is cut.
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
    """Return when time alone changes what is desired; None: never, so sleep without limit."""
    session = state.session
    if session is None or not session.live:
        return None
    times = [
        at
        for invitation in session.timed
        for at in (invitation.conditions.opens_at, invitation.idle_at)
        if at is not None and at > now
    ]
    return min([session.first_deadline, *times])


def idle(state: State, now: float) -> tuple[str, ...]:
    """Return the ids of invitations that Rested would end, unless somebody is active."""
    return tuple(
        invitation.id
        for invitation in (state.session.timed if state.session else ())
        if invitation.idle_at is not None and invitation.idle_at <= now
    )
