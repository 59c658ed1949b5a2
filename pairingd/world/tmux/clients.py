"""The clients of a server, as tmux prints them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterator
from itertools import islice

from pairingd.core.confine import TmuxClient
from pairingd.errors import WorldError

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


async def attached(
    ask: Callable[..., Awaitable[str]], session: str, known: Collection[str]
) -> list[TmuxClient]:
    """All clients; `ask` gives what tmux prints of a command. Raises WorldError.

    tmux 3.7 and later do not list a client that suspend-client has suspended, but show it by its
    name. Of those in `known` the ones in `session` are among these.
    """
    listed = clients(await ask("list-clients", "-F", FORM))
    for name in set(known) - {client.name for client in listed}:
        try:
            shown = await ask("display-message", "-p", "-t", f"{session}:", "-c", name, FORM)
        except WorldError as error:
            if error.code != "tmux-failed":
                raise
        else:  # for one that has gone tmux shows another
            listed += [client for client in clients(shown) if client.name == name]
    return listed


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
