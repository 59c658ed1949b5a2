"""Which connection a tmux client belongs to: the one among its process's ancestors.

Nothing else proves it: tmux can change a client's name, flags and session, and a guest can make it
do so. In a box each client has pid 2, and its name is its terminal, which is nobody else's: the
process that leads the session at that terminal stands for it. A guest in the box can make tmux list
any name. That misleads only what tmux shows, which is theirs anyway, and nothing that cuts a guest
or changes their role.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, KeysView
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from pairingd.core.confine import TmuxClient

if TYPE_CHECKING:
    import psutil


# A guest in a box names the clients: accept only possible terminals, and only so many.
_PTY = re.compile(r"/dev/pts/\d{1,9}", re.ASCII)
_MAX_TERMINALS = 64  # looked up at a time


class Owner(Struct, frozen=True):
    """The pid of a guest's `sshd -i`, and of the forced command, the first below it that leads a
    session of its own.
    """

    connection: int
    command: int


class Ownership:
    """Remembers the guests' clients from one listing to the next, so that many cost no more.

    Not the others: a guest's connection accepted meanwhile may not be among `connections` yet.
    """

    def __init__(self) -> None:
        self._known: dict[int, Owner] = {}
        self._leaders: dict[str, psutil.Process] = {}

    def of(
        self, clients: Iterable[TmuxClient], connections: Collection[int], *, boxed: bool = False
    ) -> dict[str, Owner]:
        """By its name, the owner of each client that came through one of `connections`."""
        listed = {client.name: client.pid for client in clients}
        if boxed:
            listed = self._leading(listed.keys()) if connections else {}
        owners = {pid: self._known.get(pid) or _owner(pid, connections) for pid in listed.values()}
        self._known = {pid: owner for pid, owner in owners.items() if owner}
        return {
            name: owner
            for name, pid in listed.items()
            if (owner := owners[pid]) and owner.connection in connections
        }

    def _leading(self, names: KeysView[str]) -> dict[str, int]:
        """The leader of the session at each of these terminals, if there is one."""
        import psutil

        known = {
            name: leader
            for name, leader in self._leaders.items()
            if name in names and leader.is_running()
        }
        for gone in self._leaders.keys() - known.keys():
            self._known.pop(self._leaders[gone].pid, None)  # its pid may be another's by now
        missing = [name for name in names - known.keys() if _PTY.fullmatch(name)][:_MAX_TERMINALS]
        for name, leader in _leaders(missing).items() if missing else ():
            with contextlib.suppress(psutil.Error):
                known[name] = psutil.Process(leader)
        self._leaders = known
        return {name: leader.pid for name, leader in known.items()}


def _leaders(terminals: Iterable[str]) -> dict[str, int]:
    """The processes that lead the sessions at these terminals, in /proc (proc_pid_stat(5)): psutil
    knows only the terminals that existed at its first call. One look for all of them.
    """
    by_device = {}
    for terminal in terminals:
        with contextlib.suppress(OSError):
            device = Path(terminal).stat().st_rdev
            major, minor = os.major(device), os.minor(device)
            by_device[str(minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)] = terminal
    leaders = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, rest = stat.read_text(errors="replace").rpartition(")")
            _, _, _, session, tty, *_ = rest.split()
            if tty in by_device and session == stat.parent.name:
                leaders[by_device[tty]] = int(session)
    return leaders


def _owner(client: int, connections: Collection[int]) -> Owner | None:
    import psutil

    if not connections:
        return None
    try:
        command = None
        for pid in (client, *(process.pid for process in psutil.Process(client).parents())):
            if pid in connections:
                return Owner(pid, command) if command else None
            if os.getsid(pid) == pid:
                command = pid
    except (psutil.Error, ProcessLookupError):  # it has ended meanwhile
        pass
    return None
