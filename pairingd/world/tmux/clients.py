"""The clients of a server, as list-clients prints them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pairingd.core.confine import TmuxClient

MAX_CLIENTS = 4096  # twice the possible connections; a guest who owns the server lists any number
# A line in FORM. A client in control mode may have no size; a terminal's name is its path. A guest
# who owns the server can fake it: numbers have no more digits than Python reads.
_CLIENT = re.compile(r"(\d{1,9})\t(\d)\t(\d)\t(\d{0,9})\t(\d{0,9})\t(\S*)\t(\S+)\t(.*)", re.ASCII)
FORM = "\t".join(
    f"#{{{name}}}"
    for name in (
        *("client_pid", "client_readonly", "client_control_mode", "client_width"),
        *("client_height", "client_flags", "client_name", "session_id"),
    )
)


def clients(output: str) -> list[TmuxClient]:
    """Ignores lines that are not in FORM."""
    listed = []
    for match in matches(_CLIENT, output):
        pid, read_only, control, columns, rows, flags, name, session = match.groups()
        listed.append(
            TmuxClient(
                name=name,
                pid=int(pid),
                control=control == "1",
                session=session,
                read_only=read_only == "1",
                ignores_size="ignore-size" in flags.split(","),
                columns=int(columns or 0),
                rows=int(rows or 0),
            )
        )
    return listed


def matches(line: re.Pattern[str], output: str) -> Iterator[re.Match[str]]:
    """Yield the first MAX_CLIENTS lines of `output`, of list-clients, that `line` matches."""
    return islice(filter(None, map(line.fullmatch, output.splitlines())), MAX_CLIENTS)
