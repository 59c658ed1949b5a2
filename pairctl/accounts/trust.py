"""Whether only root can change what a path leads to: sudo is going to run it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys

from pairctl.accounts import acl
from pairingd.core.refusal import PairingError
from pairingd.core.text import for_terminal
from pairingd.home import private


def require(path: str, host: str) -> None:
    """Raise PairingError `unsafe-program` if anybody but root could replace `path`.

    On macOS the host may, who owns the programs that Homebrew installed. So may the group admin,
    whose members may run everything by sudo. A path that does not exist yet is fine.
    """
    if place := offender(path, host):
        raise PairingError(
            "unsafe-program",
            f"{for_terminal(path)} would be run by sudo, and others than root can change "
            f"{for_terminal(place)}",
            "use one that the system's package manager has installed, or give it to root",
        )


def offender(path: str, host: str = "root") -> str:
    """The first component of the path that others than root can change, or ""."""
    owners, groups = _trusted(host)

    def see(place: str, status: os.stat_result) -> None:
        changed = not stat.S_ISLNK(status.st_mode) and (
            _is_open(status, groups) or acl.lets_others_write(place)
        )
        if status.st_uid not in owners or changed:
            raise _Offends(place)

    try:
        private.resolve(path, lambda *_: None, see)
    except _Offends as offends:
        return str(offends)
    except OSError as error:
        return str(error.filename)
    return ""


class _Offends(Exception):
    """Its argument is the place that others can change."""


def _is_open(status: os.stat_result, groups: set[int]) -> bool:
    """In a directory with the sticky bit nobody can replace another user's file: inode(7)."""
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return False
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and status.st_gid not in groups


def _trusted(host: str) -> tuple[set[int], set[int]]:
    """User ids and group ids."""
    owners, groups = {0}, {0}
    if sys.platform == "darwin":
        try:
            owners.add(pwd.getpwnam(host).pw_uid)
            groups.add(grp.getgrnam("admin").gr_gid)
        except KeyError:
            pass
    return owners, groups
