"""The scripts that the host runs of an account's session: its tmux server, and clients of it.

A client of tmux obeys its server, which runs as the account. So each client runs as the account,
too, and the host's terminal stays behind glass.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pairingd.box.scripts import behind_glass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pairingd.account.place import Account
    from pairingd.box.place import Box

_CLIENT = """\
#!/bin/sh
# pairing, session {id}: tmux as {name}, for everything outside. At a terminal this is first put
# behind glass, which gives it one of its own; else it has none. None of the host's reaches {name}.
{behind_glass}
[ "$PAIRING_BEHIND_GLASS" ] && exec {tmux} -N "$@"
exec {apart} -N "$@"
"""
_SERVER = """\
#!/bin/sh
# pairing, session {id}: the tmux server of {name}. This shell is the host's and holds the lock, its
# standard input. What runs as {name} when the session ends goes with it.
{tmux} -D -S {socket} </dev/null
{end} </dev/null
exit
"""


def client(place: Box, account: Account, glass: Iterable[str]) -> str:
    """The script `tmux`. `glass` is the command that puts a program behind glass."""
    return _CLIENT.format(
        id=place.id,
        name=account.name,
        behind_glass=behind_glass(glass),
        tmux=shlex.join(account.as_user(account.tmux)),
        apart=shlex.join(account.apart(account.tmux)),
    )


def server(place: Box, account: Account) -> str:
    """The script that is the session."""
    return _SERVER.format(
        id=place.id,
        name=account.name,
        tmux=shlex.join(account.apart(account.tmux)),
        socket=shlex.quote(place.socket),
        end=shlex.join(account.apart(account.guest, "end")),
    )
