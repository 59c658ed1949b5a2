"""A guest is in the shared session, at a size within bounds, or out.

Bindings, hooks and write guests can change tmux's own marks of a client: its flags, its session,
its size. So a guest's client is known by its process alone, a descendant of their sshd; what tmux
says of it is compared here with what it must be, steered back, and compared again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

MAX_COLUMNS, MAX_ROWS = 500, 200  # of a guest's terminal; glass.py and join.sh keep it


class TmuxClient(Struct, frozen=True):
    """A client attached to any session of the server, as `list-clients` tells of it.

    `control`: in control mode, so a program and no terminal; `columns` and `rows` are then 0.
    """

    name: str
    pid: int
    control: bool
    session: str
    read_only: bool
    ignores_size: bool
    columns: int
    rows: int


class LeadBack(Struct, frozen=True):
    """Into the shared session again."""

    client: str


class Weigh(Struct, frozen=True):
    """Whether the client's size counts for the window's (tmux(1), ignore-size)."""

    client: str
    counts: bool


class Unlock(Struct, frozen=True):
    """Tmux has made read-only what is not: a hook of the host's may toggle that."""

    client: str


Steering = LeadBack | Weigh | Unlock


def steering(
    clients: Sequence[TmuxClient], writes: Mapping[str, bool], session: str, observer: int | None
) -> list[Steering]:
    """What to have tmux do. `writes` has each guest's client by name, and whether they may write.

    The host's size wins while they are attached. While they are not, that of the write guests
    counts; a read guest's never does. `observer` is the pid of our own client, which has no size
    and must count, so that there is always one that does.
    """
    host_is_in = any(
        one.session == session and one.name not in writes and not one.control for one in clients
    )
    actions: list[Steering] = []
    for one in clients:
        if one.name in writes:
            may_write = writes[one.name]
            counts = may_write and not host_is_in
        elif one.pid == observer:
            may_write = counts = True
        else:
            continue
        if one.session != session:
            actions.append(LeadBack(one.name))
        toggled = may_write and one.read_only
        if toggled:
            actions.append(Unlock(one.name))
        if toggled or one.ignores_size is counts:
            actions.append(Weigh(one.name, counts))
    return actions


def strays(clients: Iterable[TmuxClient], guests: Iterable[str], session: str) -> set[str]:
    """Which of the `guests`, by client name, are where steering should not have left them."""
    known = set(guests)
    return {
        one.name
        for one in clients
        if one.name in known
        and (one.session != session or one.columns > MAX_COLUMNS or one.rows > MAX_ROWS)
    }
