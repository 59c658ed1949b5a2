"""Which connection a tmux client belongs to: the one among its process's ancestors.

Nothing else proves it: tmux can change a client's name, flags and session, and a guest can make it
do so. In a box of Linux each client has pid 2, and its name is the terminal behind the glass, which
is nobody else's: the process that a guest's forced command has started there stands for it. A guest
in a box can make tmux list any name or pid. That misleads only what tmux shows, which is theirs
anyway, and nothing that cuts a guest or changes their role.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from pairingd.core.confine import TmuxClient

if TYPE_CHECKING:
    import psutil


class Owner(Struct, frozen=True):
    """The pid of a guest's `sshd -i`, and of the forced command, which leads a session of its own
    between the two.
    """

    connection: int
    command: int


def living(clients: Iterable[TmuxClient]) -> list[TmuxClient]:
    """Those whose process runs. Outside boxes: tmux lists a client until it reads the end of its
    connection, and what is shown to a client that has ended, nobody reads.
    """
    return [client for client in clients if _runs(client.pid)]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # an account's
        pass
    return True


class Ownership:
    """Remembers the guests' clients from one listing to the next, so that many cost no more.

    Not the others: a guest's connection accepted meanwhile may not be among `connections` yet.
    """

    def __init__(self) -> None:
        self._known: dict[int, Owner] = {}
        self._boxed: dict[str, tuple[psutil.Process, Owner]] = {}  # by their terminals

    def of(
        self, clients: Iterable[TmuxClient], connections: Collection[int], *, boxed: bool = False
    ) -> dict[str, Owner]:
        """By its name, the owner of each client that came through one of `connections`."""
        if boxed:
            return self._of_boxed({client.name for client in clients}, connections)
        listed = {client.name: client.pid for client in clients}
        owners = {pid: self._known.get(pid) or _owner(pid, connections) for pid in listed.values()}
        self._known = {pid: owner for pid, owner in owners.items() if owner}
        return {
            name: owner
            for name, pid in listed.items()
            if (owner := owners[pid]) and owner.connection in connections
        }

    def _of_boxed(self, names: set[str], connections: Collection[int]) -> dict[str, Owner]:
        import psutil

        known = {
            name: client
            for name, client in self._boxed.items()
            if name in names and client[0].is_running()
        }
        missing = set(connections) - {owner.connection for _, owner in known.values()}
        if missing and names - known.keys():
            for name, (leader, owner) in _at_terminals(missing).items():
                with contextlib.suppress(psutil.Error):
                    known[name] = psutil.Process(leader), owner
        self._boxed = {name: client for name, client in known.items() if name in names}
        return {
            name: owner
            for name, (_, owner) in self._boxed.items()
            if owner.connection in connections
        }


class _Stat(NamedTuple):
    """Of proc_pid_stat(5)."""

    pid: int
    session: int
    terminal: int


def _at_terminals(connections: Collection[int]) -> dict[str, tuple[int, Owner]]:
    """By their terminals, the clients that the forced commands below these connections have
    started, each the leader of a session, and their owners. One look at /proc for all of them.

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
    return {
        name: (client.pid, Owner(connection, command))
        for connection in connections
        for command in _first_leaders(connection, children)
        for client in children.get(command, ())
        if client.session == client.pid and (name := _terminal(client.terminal))
    }


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
