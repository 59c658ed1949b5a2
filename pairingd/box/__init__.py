"""A box: what a session may see and do, where the host shares a directory and not themselves.

place.py        one box: where it lies, and whether it lives
plan.py         what one box shows and allows
shares.py       which directories may be shared
bubblewrap.py   the box as Linux makes it; sandbox_exec.py as macOS does
account.py      another user in its place: not all of the host's is hidden, but none can be changed
scripts.py      what the scripts of both have in common
etc.py          what of /etc is shown in it
filter.py       the system calls that it forbids
scope.py        what ends at the box where it has the host's network

tmux's server runs in the box, and so does every client of it, each in a box of its own: a client
obeys its server (tmux's MSG_EXEC, MSG_READ_OPEN), and who is in the box owns that. What stands for
tmux outside is the box's `tmux`, a script. Standard library only but for filter.py: `pairctl` makes
the box, from the user's own terminal, as it makes a session without one.
"""

from __future__ import annotations

import os
import sys

_GLASS = "world/forced_command/glass.py"


def glass() -> tuple[str, ...]:
    """The command that puts a program behind glass: `host`, the program and its words follow."""
    path = os.path.join(os.path.dirname(__file__), "..", _GLASS)  # noqa: PTH118, PTH120
    return sys.executable, "-I", "-S", os.path.realpath(path)
