"""A box: what a session may see and do if the host shares only a directory.

place.py        one box: where it lies, and whether it lives
plan.py         what one box shows and allows
shares.py       which directories may be shared
bubblewrap.py   the box as Linux makes it; sandbox_exec.py as macOS does
account.py      another user instead: can read some of the host's files, but change none
scripts.py      what the scripts of both have in common
etc.py          the files of /etc that it shows
venv.py         the Python of a virtual environment in the shared directory
filter.py       the system calls that it forbids
scope.py        what ends at the box where it has the host's network
surroundings.py the environment of what runs outside, which leads to nothing that a guest can write

tmux's server runs in the box, and each client in a box of its own: a client obeys its server
(tmux's MSG_EXEC, MSG_READ_OPEN), which the guests control. Outside, the box's script `tmux` stands
for tmux. Standard library only, except filter.py: `pairctl` makes the box, from the user's own
terminal, as it makes a session without one.
"""

from __future__ import annotations

import os
import sys

_GLASS = "world/forced_command/glass.py"


def glass() -> tuple[str, ...]:
    """Return the command for glass.py, to be followed by `host`, the program and its arguments."""
    path = os.path.join(os.path.dirname(__file__), "..", _GLASS)  # noqa: PTH118, PTH120
    return sys.executable, "-I", "-S", os.path.realpath(path)
