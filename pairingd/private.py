"""Whether a place in the file system is ours: only we and root can change or replace it.

Standard library only: `pairctl` imports this and must start quickly.
"""

# pathlib takes longer to import than all else that `pairctl status` does.
# ruff: noqa: PTH100, PTH115, PTH118, PTH120

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from pairingd.core.text import shell
from pairingd.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINKS = 40  # path_resolution(7)


def find(path: str) -> os.stat_result | None:
    """What stands at `path`, links followed; None where nothing does.

    Goes the way of path_resolution(7), and raises Misconfigured `unsafe-home` where a directory or
    link on it belongs to neither us nor root, or other users could put another one in its place.
    Whoever makes `path` asks this before: then nothing is made in a place that is not ours.
    """
    absolute = path if path.startswith("/") else os.path.abspath(path)
    return resolve(absolute, _refuse_replaceable, _refuse_strangers)


def resolve(
    path: str,
    enter: Callable[[str, os.stat_result], None],
    see: Callable[[str, os.stat_result], None],
) -> os.stat_result | None:
    """What stands at `path`, links followed; None where nothing does. From the root the way of
    path_resolution(7): `enter` is called with each directory before a name is looked up in it,
    `see` with each place that is found, links too. Either may raise.

    Raises OSError with the place, or with `path` where it has too many links.
    """
    here, found = "/", os.lstat("/")
    left = path.split("/")[::-1]
    links = 0
    while left:
        name = left.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            here = os.path.dirname(here)
            found = os.lstat(here)
            continue
        enter(here, found)
        place = os.path.join(here, name)
        try:
            below = os.lstat(place)
        except FileNotFoundError:
            return None
        see(place, below)
        if not stat.S_ISLNK(below.st_mode):
            here, found = place, below
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(place)
        left += target.split("/")[::-1]
        if target.startswith("/"):
            here, found = "/", os.lstat("/")
    return found


def find_directory(path: str) -> os.stat_result | None:
    """As `find`, of a directory for ourselves alone: root's is not ours, nor is a shared one."""
    found = find(path)
    if found is None:
        return None
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if found.st_uid != os.getuid():
        raise _somebody_elses(path)
    if found.st_mode & stat.S_ISVTX and writable_by_others(path, found):
        raise Misconfigured(
            "unsafe-home",
            f"{path} is a directory that all users share",
            f"set PAIRING_HOME to a directory of its own, such as {path}/pairing",
        )
    return found


def read_config(path: str) -> bytes | None:
    """The content of config.toml; None where there is none. Whoever writes it chooses the programs
    that we run, so it is refused where others could have written it.

    Raises Misconfigured `unsafe-home` as `find` does, `unsafe-config`, `bad-config`.
    """
    try:
        if find(path) is None:
            return None
        # Without waiting: a FIFO would have us wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise Misconfigured("bad-config", f"{path} is not a file", "move it out of the way")
            if writable_by_others(descriptor, found):
                raise Misconfigured(
                    "unsafe-config",
                    f"other users can write {path} (mode {stat.S_IMODE(found.st_mode):o})",
                    f"check its contents, then: {shell('chmod', 'go-w', path)}",
                )
            return file.read()
    except OSError as error:
        raise Misconfigured(
            "bad-config", f"{path}: {error.strerror}", "make the file readable, or remove it"
        ) from None


def writable_by_others(path: str | int, found: os.stat_result) -> bool:
    """Whether anybody but its owner and root may write it."""
    if found.st_mode & stat.S_IWOTH:
        return True
    if not found.st_mode & stat.S_IWGRP:
        return False
    return _has_acl(path) or not _is_private_group(found.st_gid)


def _refuse_strangers(place: str, found: os.stat_result) -> None:
    if found.st_uid not in {0, os.getuid()}:
        raise _somebody_elses(place)


def _somebody_elses(place: str) -> Misconfigured:
    return Misconfigured(
        "unsafe-home",
        f"{place} belongs to another user",
        "run it as that user, without sudo or su, or set PAIRING_HOME to a directory of your own",
    )


def _refuse_replaceable(directory: str, found: os.stat_result) -> None:
    if not found.st_mode & stat.S_ISVTX and writable_by_others(directory, found):
        raise Misconfigured(
            "unsafe-home",
            f"other users could replace what is in {directory}",
            f"{shell('chmod', 'go-w', directory)}, or set PAIRING_HOME elsewhere",
        )


def _is_private_group(gid: int) -> bool:
    """Root's group, or the one named as we are, as most Linux systems make it; and nobody else is
    in it. Members are in two places: group(5) and the fourth field of passwd(5).
    """
    import grp
    import pwd

    try:
        group, uid = grp.getgrgid(gid), os.getuid()
        members = {pwd.getpwnam(name).pw_uid for name in group.gr_mem}
        if gid != 0:  # whose users in passwd(5) are the system's own, such as sync and halt
            if group.gr_name != pwd.getpwuid(uid).pw_name:
                return False
            members |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
    except KeyError:
        return False
    return members <= {0, uid}


def _has_acl(path: str | int) -> bool:
    """Where there is one, the group's bits are its mask and stand for other users: acl(5)."""
    if sys.platform != "linux":  # macOS's lists leave the mode as it is and are not looked at
        return False
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError:
        return False
    return True
