"""What a guest's key starts: a program of ours between their terminal and tmux.

join.sh      runs first, and is a write guest's program
glass.py     a read guest's program
approval.py  where a guest waits until the host has let them in
farewell.sh  what either becomes at the end
role         which of the first two a guest has, read and changed from outside
"""

from pairingd.world.forced_command.role import (
    ROLE_SIGNAL,
    connection_of,
    forced_command,
    logged_in,
    role_of,
)

__all__ = ["ROLE_SIGNAL", "connection_of", "forced_command", "logged_in", "role_of"]
