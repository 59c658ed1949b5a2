"""From what is wished and what is seen, to what must be done; closing before opening.

`access` covers keys, connections and the door, which are at hand and quick; `mapping` covers the
gateway, which is far and slow. Both are level-triggered: they hold no memory, so a plan that was
cut short is simply made anew. "Could not observe" (None, UNKNOWN) never counts as "absent".
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pairingd.core.model import Access, Key, Mapping, State

# Seconds between looks at a mapping that is held; with what a new one takes, less than a minute.
CHECK_EVERY = 55.0
EARLY_LOOKS = (1.0, 5.0, 30.0)  # seconds after it was made: some routers drop a new one soon
LONGEST_SLEEP = 15.0  # seconds; a laptop that wakes must notice within this time


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of authorized_keys: this key enters on this invitation until then."""

    invitation: str
    key: Key
    access: Access
    expires_at: int


@dataclass(frozen=True, slots=True)
class Desired:
    """Who may be in, now. `door_port` is where the door should stand if it can, 0 for anywhere."""

    grants: tuple[Grant, ...]
    access: Map[str, Access]
    door_port: int

    @property
    def door(self) -> bool:
        return bool(self.access)


def desired(state: State, now: float) -> Desired:
    """What `state` demands at `now`; a deadline that is reached demands nothing, ticked or not."""
    live = [one for one in state.live if one.expires_at > now]
    return Desired(
        grants=tuple(
            Grant(one.id, key, one.access, one.expires_at) for one in live for key in one.keys
        ),
        access={one.id: one.access for one in live},
        door_port=(state.session.door_port or 0) if state.session else 0,
    )


NOTHING = Desired(grants=(), access={}, door_port=0)


@dataclass(frozen=True, slots=True)
class Connection:
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


@dataclass(frozen=True, slots=True)
class Observed:
    """`grants` is None where the file could not be read or is not as we would write it."""

    grants: tuple[Grant, ...] | None
    door_port: int | None
    connections: tuple[Connection, ...]


@dataclass(frozen=True, slots=True)
class WriteGrants:
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    pid: int


@dataclass(frozen=True, slots=True)
class CloseDoor:
    pass


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """Of a guest who is in."""

    pid: int
    access: Access


@dataclass(frozen=True, slots=True)
class OpenDoor:
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


def next_deadline(state: State) -> float | None:
    """When time alone will change what is desired. None: never, so there is nothing to wake for."""
    return min((one.expires_at for one in state.live), default=None)


@dataclass(frozen=True, slots=True)
class MappingWish:
    """The door as the gateway should forward to it, in the network where we are."""

    network: str
    internal_host: str
    internal_port: int
    external_port: int


@dataclass(frozen=True, slots=True)
class Seen:
    """When a mapping was made, or found to be in place by a new daemon, and when seen last.

    `answered`: whether it was seen when it was looked for last.
    """

    since: float
    last: float
    answered: bool = True

    @property
    def next_look(self) -> float:
        early = (self.since + after for after in EARLY_LOOKS)
        return min((at for at in early if at > self.last), default=self.last + CHECK_EVERY)

    @property
    def doubted(self) -> Seen:
        """As if nobody had looked since it was made."""
        return replace(self, last=self.since)


@dataclass(frozen=True, slots=True)
class CloseMapping:
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class OpenMapping:
    wish: MappingWish


@dataclass(frozen=True, slots=True)
class RenewMapping:
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class CheckMapping:
    mapping: Mapping


MappingAction = CloseMapping | OpenMapping | RenewMapping | CheckMapping


def mapping(
    wish: MappingWish | None,
    journal: Sequence[Mapping],
    here: str | None,
    checked: Map[str, Seen],
    now: float,
) -> list[MappingAction]:
    """What to ask of the gateway of the network `here` (None: no network).

    `checked` says when each mapping was seen in place; one that was not seen since the daemon
    started is renewed, for PCP and NAT-PMP can tell no other way that it is there, and so is one
    whose last look was not answered, for that tells who is silent from who is gone. A mapping
    journaled in another network is left alone: its gateway cannot be reached, and this one must
    not be sent its delete.
    """
    mine = [entry for entry in journal if entry.network == here]
    serving = [entry for entry in mine if wish is not None and _serves(entry, wish, now)]
    actions: list[MappingAction] = [
        CloseMapping(entry) for entry in mine if entry not in serving[:1]
    ]
    for entry in serving[:1]:
        seen = checked.get(entry.id)
        if seen is None or not seen.answered or (entry.renew_at or 0.0) <= now:
            actions.append(RenewMapping(entry))
        elif not seen.last <= now < seen.next_look:  # earlier than `last`: the clock was set back
            actions.append(CheckMapping(entry))
    if wish is not None and not serving:
        actions.append(OpenMapping(wish))
    return actions


def mapping_deadline(
    journal: Sequence[Mapping], here: str | None, checked: Map[str, Seen], now: float
) -> float | None:
    """When a held mapping next wants a look or a renewal; soon, while one is stranded elsewhere.

    For then it matters where we are, and nobody may tell that we have come back. One that was never
    confirmed is not waited for: its lease, if it got one, is not known.
    """
    held = [
        min(entry.renew_at or float("inf"), checked[entry.id].next_look)
        for entry in journal
        if entry.network == here and entry.id in checked
    ]
    stranded = [
        now + LONGEST_SLEEP
        for entry in journal
        if entry.network != here and entry.granted_until is not None and not is_over(entry, now)
    ]
    return min(held + stranded, default=None)


def is_held(entry: Mapping, now: float) -> bool:
    """Whether the gateway has granted it for longer than `now`, and can be asked to go on."""
    return entry.renew_at is not None and (entry.granted_until or 0.0) > now


def is_over(entry: Mapping, now: float) -> bool:
    """Whether its lease has run out, so that it is gone though nobody confirms it."""
    return not entry.permanent and entry.granted_until is not None and entry.granted_until <= now


def _serves(entry: Mapping, wish: MappingWish, now: float) -> bool:
    return (
        is_held(entry, now)
        and entry.internal_host == wish.internal_host
        and entry.internal_port == wish.internal_port
    )
