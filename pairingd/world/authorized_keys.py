"""The first lock: our own authorized_keys file. Each line is one key of one invitation.

A line also carries the second lock: sshd's `expiry-time` (sshd(8), AUTHORIZED_KEYS FILE
FORMAT), in case the daemon is dead when the time is up.
"""

from __future__ import annotations

import shlex
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from pairingd.core.model import Grant
from pairingd.home.files import write_for_group, write_private
from pairingd.state.live import mark_prefix

_JOIN = Path(__file__).with_name("forced_command") / "join.sh"


class AuthorizedKeys(Struct, frozen=True):
    """The file at `path`, and what its lines say. `zulu`: this sshd reads times with `Z` (OpenSSH
    9.1); older ones take them as local time, and ours is started with TZ=UTC0. A line does not say
    what its guest may do: the forced command reads that at each start from the marks
    (pairingd.state.live), so a change of role writes nothing to this file. Guests who need the
    host's approval ask for it at `control`, pairingd's socket. `join` is the forced command, which
    runs `python`. `shared`: the group of the file's directory may read it, because its sshd is an
    account's.
    """

    path: Path
    tmux: str
    socket: Path
    session: str
    live: Path
    control: Path
    zulu: bool
    confinement: str = "plain"
    join: Path = _JOIN
    python: str = sys.executable
    shared: bool = False

    def line(self, grant: Grant) -> str:
        until = time.strftime("%Y%m%d%H%M%S", time.gmtime(grant.expires_at))
        mark = str(self.live / mark_prefix(grant.invitation))
        arguments = [mark, self.confinement, self.python, self.tmux, str(self.socket), self.session]
        if grant.ask:
            arguments.append(str(self.control))
        command = f"exec /bin/sh {shlex.quote(str(self.join))} {shlex.join(arguments)}"
        quoted = command.replace('"', '\\"')
        return (
            f'restrict,pty,expiry-time="{until}{"Z" if self.zulu else ""}",command="{quoted}"'
            f" {grant.key.type} {grant.key.blob} {grant.invitation}\n"
        )


class KeyFiles:
    """Writes authorized_keys files. Each pass compares the file with what it should be, so this
    keeps the text rendered last, for which a cache by the hash of a thousand grants is too slow. A
    change of some grants renders these alone.
    """

    def __init__(self) -> None:
        self._of: tuple[AuthorizedKeys, tuple[Grant, ...]] | None = None
        self._lines: dict[tuple[str, str], tuple[Grant, str]] = {}  # by invitation and key
        self._text = ""

    def grants(self, keys: AuthorizedKeys, expected: tuple[Grant, ...]) -> tuple[Grant, ...] | None:
        """`expected` if the file says exactly that; empty if there is no file; else None."""
        try:
            if not stat.S_ISREG(keys.path.stat().st_mode):  # a FIFO would wait for its writer
                return None
            text = keys.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError):
            return None
        return expected if text == self._render(keys, expected) else None

    def write(self, keys: AuthorizedKeys, grants: tuple[Grant, ...]) -> None:
        """Replace the file whole. Raises WorldError `unwritable-file`."""
        (write_for_group if keys.shared else write_private)(keys.path, self._render(keys, grants))

    def _render(self, keys: AuthorizedKeys, grants: tuple[Grant, ...]) -> str:
        if self._of != (keys, grants):
            known = self._lines if self._of and self._of[0] == keys else {}
            lines = [(grant, _line(keys, grant, known)) for grant in grants]
            self._lines = {_place(grant): (grant, line) for grant, line in lines}
            self._of, self._text = (keys, grants), "".join(line for _, line in lines)
        return self._text


def _place(grant: Grant) -> tuple[str, str]:
    return grant.invitation, grant.key.blob


def _line(
    keys: AuthorizedKeys, grant: Grant, known: Mapping[tuple[str, str], tuple[Grant, str]]
) -> str:
    of, line = known.get(_place(grant), (None, ""))
    return line if of == grant else keys.line(grant)
