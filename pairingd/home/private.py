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
    """Return the status of `path`, links followed; None if it is absent.

    Follows path_resolution(7), and raises Misconfigured `unsafe-home` if a directory or link on the
    way belongs to neither us nor root, or if other users could replace it. Call this before making
    `path`, so that nothing is made in a place that is not ours.
    """
    absolute = path if path.startswith("/") else os.path.abspath(path)
    return resolve(absolute, _refuse_replaceable, _refuse_foreign_owner)


def resolve(
    path: str,
    enter: Callable[[str, os.stat_result], None],
    see: Callable[[str, os.stat_result], None],
) -> os.stat_result | None:
    """Return the status of `path`, links followed; None if it is absent. Follows path_resolution(7)
    from the root: calls `enter` with each directory before it looks up a name in it, and `see` with
    each file that it finds, links too. Either may raise.

    Raises OSError with the file, or with `path` if it has too many links.
    """
    current, status = "/", os.lstat("/")
    pending = path.split("/")[::-1]
    links = 0
    while pending:
        name = pending.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            current = os.path.dirname(current)
            status = os.lstat(current)
            continue
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), current)
        enter(current, status)
        place = os.path.join(current, name)
        try:
            place_status = os.lstat(place)
        except FileNotFoundError:
            return None
        see(place, place_status)
        if not stat.S_ISLNK(place_status.st_mode):
            current, status = place, place_status
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(place)
        pending += target.split("/")[::-1]
        if target.startswith("/"):
            current, status = "/", os.lstat("/")
    return status


def find_directory(path: str) -> os.stat_result | None:
    """As `find`, for a directory of our own: neither root's nor a shared one."""
    status = find(path)
    if status is None:
        return None
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    if status.st_uid != os.getuid():
        raise _foreign_owner(path)
    if status.st_mode & stat.S_ISVTX and writable_by_others(path, status):
        raise Misconfigured(
            "unsafe-home",
            f"{path} is a directory that all users share",
            f"set PAIRING_HOME to a directory of its own, such as {path}/pairing",
        )
    return status


def read_config(path: str) -> bytes | None:
    """Return the content of config.toml, None if there is none. It names the programs that we run,
    so it is refused if other users could have written it.

    Raises Misconfigured `unsafe-home` as `find` does, `unsafe-config`, `bad-config`.
    """
    try:
        if find(path) is None:
            return None
        # O_NONBLOCK: opening a FIFO would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Misconfigured("bad-config", f"{path} is not a file", "move it out of the way")
            if writable_by_others(descriptor, status):
                raise Misconfigured(
                    "unsafe-config",
                    f"other users can write {path} (mode {stat.S_IMODE(status.st_mode):o})",
                    f"check its contents, then: {shell('chmod', 'go-w', path)}",
                )
            return file.read()
    except OSError as error:
        raise Misconfigured(
            "bad-config", f"{path}: {error.strerror}", "make the file readable, or remove it"
        ) from None


def writable_by_others(path: str | int, status: os.stat_result) -> bool:
    """Whether users other than its owner and root may write it."""
    if status.st_mode & stat.S_IWOTH:
        return True
    if not status.st_mode & stat.S_IWGRP:
        return False
    return _has_acl(path) or not _is_private_group(status.st_gid)


def _refuse_foreign_owner(place: str, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.getuid()}:
        raise _foreign_owner(place)


def _foreign_owner(place: str) -> Misconfigured:
    return Misconfigured(
        "unsafe-home",
        f"{place} belongs to another user",
        "run it as that user, without sudo or su, or set PAIRING_HOME to a directory of your own",
    )


def _refuse_replaceable(directory: str, status: os.stat_result) -> None:
    if not status.st_mode & stat.S_ISVTX and writable_by_others(directory, status):
        raise Misconfigured(
            "unsafe-home",
            f"other users could replace what is in {directory}",
            f"{shell('chmod', 'go-w', directory)}, or set PAIRING_HOME elsewhere",
        )


def _is_private_group(gid: int) -> bool:
    """Whether it is root's group, or the one with our name, as on most Linux systems, and has no
    other members. Members are in two places: group(5) and the fourth field of passwd(5).
    """
    import grp
    import pwd

    try:
        group, uid = grp.getgrgid(gid), os.getuid()
        members = {pwd.getpwnam(name).pw_uid for name in group.gr_mem}
        if gid != 0:  # root's has system users in passwd(5), such as sync and halt
            if group.gr_name != pwd.getpwuid(uid).pw_name:
                return False
            members |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
    except KeyError:
        return False
    return members <= {0, uid}


def _has_acl(path: str | int) -> bool:
    """Whether it has an ACL: then the group bits are its mask and apply to other users. acl(5)."""
    if sys.platform != "linux":  # macOS's ACLs do not change the mode; not checked
        return False
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError:
        return False
    return True
