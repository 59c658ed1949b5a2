"""Finds a tmux server's shared session, by the same rule for the daemon and `pairctl`.

It is the session with the mark, a user option, whatever its name is now; otherwise the session with
the configured name, such as one that the host has made by hand; otherwise one that was marked when
another name was configured. Standard library only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pairingd.core.text import one_line

MARK = "@pairing-session"  # its value is the configured name
_ID = re.compile(r"\$\d{1,18}", re.ASCII)
_MAX_NAME_CHARS = 100  # the server's owner chooses the names
MAX_SESSIONS = 1000  # and how many there are
FORM = f"#{{pid}}\t#{{session_id}}\t#{{{MARK}}}\t#{{session_name}}"  # of list-sessions -F


def watching(socket: str) -> tuple[str, ...]:
    """Return the first arguments of the daemon's tmux client in control mode at `socket`."""
    return "-N", "-u", "-S", socket, "-C"


class TmuxSession(NamedTuple):
    """`id` is a target of tmux (tmux(1), COMMANDS), such as `$3`. It survives a rename, and means
    another session on another `server`, a pid.
    """

    server: str
    id: str
    name: str


def find(listed: str, name: str) -> TmuxSession | None:
    """Return the shared session in `listed`, printed by list-sessions in FORM; None if absent."""
    listing = listed.splitlines()[:MAX_SESSIONS]
    lines = (line.split("\t", 3) for line in listing if line.count("\t") >= 3)
    sessions = [
        (mark, TmuxSession(server, id_, one_line(called, _MAX_NAME_CHARS)))
        for server, id_, mark, called in lines
        if _ID.fullmatch(id_)
    ]
    marked = [session for mark, session in sessions if mark == name]
    named = [session for _, session in sessions if session.name == name]
    earlier = [session for mark, session in sessions if mark]
    return next(iter([*marked, *named, *earlier]), None)
