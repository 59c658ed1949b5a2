"""Which connection a tmux client belongs to: the one among its process's ancestors.

Nothing else proves it: tmux can change a client's name, flags and session, and a guest can make it
do so. In a box each client has pid 2, and its name is the terminal behind the glass, which is
nobody else's: the process that a guest's forced command has started there stands for it. A guest in
the box can make tmux list any name. That misleads only what tmux shows, which is theirs anyway, and
nothing that cuts a guest or changes their role.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, KeysView, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from pairingd.core.confine import TmuxClient

if TYPE_CHECKING:
    import psutil


_PTY = re.compile(r"/dev/pts/\d{1,9}", re.ASCII)  # a guest in a box names the clients


class Owner(Struct, frozen=True):
    """The pid of a guest's `sshd -i`, and of the forced command, which leads a session of its own
    between the two.
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
            listed = self._leading(listed.keys(), connections) if connections else {}
        owners = {pid: self._known.get(pid) or _owner(pid, connections) for pid in listed.values()}
        self._known = {pid: owner for pid, owner in owners.items() if owner}
        return {
            name: owner
            for name, pid in listed.items()
            if (owner := owners[pid]) and owner.connection in connections
        }

    def _leading(self, names: KeysView[str], connections: Collection[int]) -> dict[str, int]:
        """The leader of the session at each of these terminals that is a guest's."""
        import psutil

        known = {
            name: leader
            for name, leader in self._leaders.items()
            if name in names and leader.is_running()
        }
        for gone in self._leaders.keys() - known.keys():
            self._known.pop(self._leaders[gone].pid, None)  # its pid may be another's by now
        if any(_PTY.fullmatch(name) for name in names - known.keys()):
            for name, leader in _leaders(connections).items():
                with contextlib.suppress(psutil.Error):
                    known.setdefault(name, psutil.Process(leader))
        self._leaders = {name: leader for name, leader in known.items() if name in names}
        return {name: leader.pid for name, leader in self._leaders.items()}


class _Stat(NamedTuple):
    """Of proc_pid_stat(5)."""

    pid: int
    session: int
    terminal: int


def _leaders(connections: Collection[int]) -> dict[str, int]:
    """By their terminals, the clients that the forced commands below these connections have
    started, each the leader of a session. One look at /proc for all of them.

    From the connection down: a terminal's number is not its own alone, because each box, and each
    container, counts its terminals from 0.
    """
    children: dict[int, list[_Stat]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, rest = path.read_text(errors="replace").rpartition(")")
            _, parent, _, session, terminal, *_ = rest.split()
            stat = _Stat(int(path.parent.name), int(session), int(terminal))
            children.setdefault(int(parent), []).append(stat)
    leaders = {}
    for connection in connections:
        for command in _first_leaders(connection, children):
            for stat in children.get(command, ()):
                if stat.session == stat.pid and (name := _terminal(stat.terminal)):
                    leaders[name] = stat.pid
    return leaders


def _first_leaders(above: int, children: Mapping[int, list[_Stat]]) -> Iterator[int]:
    for stat in children.get(above, ()):
        if stat.session == stat.pid:
            yield stat.pid
        else:
            yield from _first_leaders(stat.pid, children)


def _terminal(device: int) -> str:
    """The name of a pseudo-terminal of this machine; "" for anything else."""
    number = os.makedev(device >> 8 & 0xFFF, device & 0xFF | device >> 12 & 0xFFF00)
    name = f"/dev/pts/{os.minor(number)}"
    with contextlib.suppress(OSError):
        return name if Path(name).stat().st_rdev == number else ""
    return ""


def _owner(client: int, connections: Collection[int]) -> Owner | None:
    import psutil

    if not connections:
        return None
    try:
        above = [process.pid for process in psutil.Process(client).parents()]
        for place, pid in enumerate(above):
            if pid in connections:
                return Owner(
                    pid,
                    next(ancestor for ancestor in above[:place] if os.getsid(ancestor) == ancestor),
                )
    except (psutil.Error, ProcessLookupError, StopIteration):  # it has ended meanwhile
        pass
    return None
