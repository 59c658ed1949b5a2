"""Changes the role of guests who are in: a signal has the forced command attach them again.

It needs nothing of tmux.
"""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import Callable, Iterable, Mapping

from pairingd.core.model import Access
from pairingd.core.plan import ChangeRole
from pairingd.reconcile.access.login import Login
from pairingd.world.forced_command import ROLE_SIGNAL, forced_command, role_of

_POLL_INTERVAL_S = 0.02
_SIGNAL_INTERVAL_S = 0.3  # a forced command that is just starting misses the first


async def change_roles(
    changes: Iterable[ChangeRole],
    logins: Mapping[int, Login],
    signal: Callable[[int, int, signals.Signals], None],
    seconds: float,
    interrupted: Callable[[], bool],
) -> set[int]:
    """`signal` sends a signal to a process of a connection.

    Returns the connections whose role is not changed after `seconds`, or once `interrupted`,
    without those that have ended meanwhile.
    """
    waiting: dict[int, Access] = {
        change.pid: change.access for change in changes if change.pid in logins
    }
    commands = {pid: logins[pid].command or forced_command(pid) for pid in waiting}
    now = asyncio.get_running_loop().time
    ask_at, end = now(), now() + seconds
    while waiting and now() < end and not interrupted():
        if now() >= ask_at:
            ask_at += _SIGNAL_INTERVAL_S
            for pid in waiting:
                if command := commands[pid]:
                    signal(pid, command, ROLE_SIGNAL)
                logins[pid].attached = False  # until the guest is attached again
        await asyncio.sleep(_POLL_INTERVAL_S)
        for pid, access in [*waiting.items()]:
            if pid not in logins:
                del waiting[pid]
            elif role_of(commands[pid]) is access:
                logins[pid].access = access
                del waiting[pid]
    return set(waiting)
