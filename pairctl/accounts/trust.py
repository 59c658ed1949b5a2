"""Whether root alone decides what a path leads to: sudo is going to run it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys

from pairctl.accounts import acl
from pairingd import private
from pairingd.core.refusal import PairingError
from pairingd.core.text import for_terminal


def require(path: str, host: str) -> None:
    """Raise PairingError `unsafe-program` where somebody else could replace `path`.

    On macOS the host may: Homebrew's programs are the user's who installed them. So may the group
    admin, whose members may run all by sudo. What is not there yet is fine.
    """
    if place := offender(path, host):
        raise PairingError(
            "unsafe-program",
            f"{for_terminal(path)} would be run by sudo, and others than root can change "
            f"{for_terminal(place)}",
            "use one that the system's package manager has installed, or give it to root",
        )


def offender(path: str, host: str = "root") -> str:
    """The first place on the way that others than root can change; "" where there is none."""
    owners, groups = _trusted(host)

    def see(place: str, found: os.stat_result) -> None:
        changed = not stat.S_ISLNK(found.st_mode) and (
            _is_open(found, groups) or acl.lets_others_write(place)
        )
        if found.st_uid not in owners or changed:
            raise _Offends(place)

    try:
        private.resolve(path, lambda *_: None, see)
    except _Offends as offends:
        return str(offends)
    except OSError as error:
        return str(error.filename)
    return ""


class _Offends(Exception):
    """The place that does."""


def _is_open(found: os.stat_result, groups: set[int]) -> bool:
    """In a directory with the sticky bit nobody can replace what is another's: inode(7)."""
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return False
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and found.st_gid not in groups


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
