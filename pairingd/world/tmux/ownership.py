"""Whose a tmux client is: it belongs to the connection among its process's ancestors.

Nothing else tells: a client's name, flags and session are tmux's to change, and a guest's to have
changed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pairingd.core.confine import TmuxClient


@dataclass(frozen=True, slots=True)
class Owner:
    """The pid of a guest's `sshd -i`, and of the forced command, which leads a session of its own
    between the two.
    """

    connection: int
    command: int


class Ownership:
    """Remembers the guests' clients from one listing to the next, so that many cost no more.

    Not the host's: whose connection was accepted meanwhile is not among `connections` yet.
    """

    def __init__(self) -> None:
        self._known: dict[int, Owner] = {}

    def of(self, clients: Iterable[TmuxClient], connections: Collection[int]) -> dict[str, Owner]:
        """By its name, the owner of each client that came through one of `connections`."""
        listed = {client.name: client.pid for client in clients}
        owners = {pid: self._known.get(pid) or _owner(pid, connections) for pid in listed.values()}
        self._known = {pid: owner for pid, owner in owners.items() if owner}
        return {
            name: owner
            for name, pid in listed.items()
            if (owner := owners[pid]) and owner.connection in connections
        }


def _owner(client: int, connections: Collection[int]) -> Owner | None:
    import psutil

    if not connections:
        return None
    try:
        above = [process.pid for process in psutil.Process(client).parents()]
        for place, pid in enumerate(above):
            if pid in connections:
                return Owner(pid, next(one for one in above[:place] if os.getsid(one) == one))
    except (psutil.Error, ProcessLookupError, StopIteration):  # it has gone meanwhile
        pass
    return None
