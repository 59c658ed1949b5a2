"""Keep each guest's client in the shared session and within bounds, or report it as a stray.

Bindings, hooks and write guests can change a client's state in tmux: its flags, its session, its
size. So only its process identifies a guest's client: a descendant of their sshd. `steering`
compares tmux's report with what it must be and returns corrections; `strays` compares again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

MAX_COLUMNS, MAX_ROWS = 500, 200  # of a guest's terminal; glass.py and join.sh enforce it


class TmuxClient(Struct, frozen=True):
    """A client attached to any session of the server, as `list-clients` lists it.

    `control`: in control mode, so a program and not a terminal; `columns` and `rows` are then 0.
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
    """Switch it back to the shared session."""

    client: str


class Weigh(Struct, frozen=True):
    """Set whether the client's size counts for the window's (tmux(1), ignore-size)."""

    client: str
    counts: bool


class Unlock(Struct, frozen=True):
    """Clear a write guest's read-only flag, which a hook of the host's may have toggled."""

    client: str


class Detach(Struct, frozen=True):
    """Restore its terminal's screen and end it, and with it a guest's connection."""

    client: str


Steering = LeadBack | Weigh | Unlock | Detach


def steering(
    clients: Sequence[TmuxClient], writes: Mapping[str, bool], session: str, observer: int | None
) -> list[Steering]:
    """Return what tmux must do. `writes`: by client name of each guest, whether they may write.

    The host's size counts while they are attached, else that of the write guests. A read guest's
    never counts. `observer` is the pid of our own client, which has no size and must count, so
    that at least one client always does.
    """
    host_is_attached = any(
        attached.session == session and attached.name not in writes and not attached.control
        for attached in clients
    )
    actions: list[Steering] = []
    for client in clients:
        if client.name in writes:
            may_write = writes[client.name]
            counts = may_write and not host_is_attached
        elif client.pid == observer:
            may_write = counts = True
        else:
            continue
        if client.session != session:
            actions.append(LeadBack(client.name))
        toggled = may_write and client.read_only
        if toggled:
            actions.append(Unlock(client.name))
        if toggled or client.ignores_size is counts:
            actions.append(Weigh(client.name, counts))
    return actions


def strays(clients: Iterable[TmuxClient], guests: Iterable[str], session: str) -> set[str]:
    """Return the client names of `guests` outside the session or its bounds after steering."""
    known = set(guests)
    return {
        client.name
        for client in clients
        if client.name in known
        and (client.session != session or client.columns > MAX_COLUMNS or client.rows > MAX_ROWS)
    }
