"""Which of a tmux server's sessions is the shared one: daemon and `pairctl` tell it alike.

The one that bears the mark, a user option of the session, whatever it is called by now; else the
one with the configured name, such as a session that the host has made by hand. Standard library
only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pairingd.core.text import one_line

MARK = "@pairing-session"  # its value is the configured name
_ID = re.compile(r"\$\d{1,18}", re.ASCII)
_MAX_NAME = 100  # characters; who owns the server names its sessions
FORM = f"#{{pid}}\t#{{session_id}}\t#{{{MARK}}}\t#{{session_name}}"  # of list-sessions -F


def watching(socket: str) -> tuple[str, ...]:
    """How a tmux begins, after its own name, that is the daemon's client in control mode there."""
    return "-N", "-u", "-S", socket, "-C"


class Found(NamedTuple):
    """`id` is a target of tmux's (tmux(1), COMMANDS), such as `$3`; it outlives a new name, and
    means another session on another `server`, a pid.
    """

    server: str
    id: str
    name: str


def find(listed: str, name: str) -> Found | None:
    """In what list-sessions printed in FORM; None where the shared session is not there."""
    lines = (line.split("\t", 3) for line in listed.splitlines() if line.count("\t") >= 3)
    sessions = [
        (mark, Found(server, id_, one_line(called, _MAX_NAME)))
        for server, id_, mark, called in lines
        if _ID.fullmatch(id_)
    ]
    marked = [found for mark, found in sessions if mark == name]
    named = [found for _, found in sessions if found.name == name]
    return next(iter([*marked, *named]), None)
