"""POSIX ACLs of Linux, as the kernel keeps them: acl(5), linux/posix_acl_xattr.h."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

from pairingd.box.shares import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

_ACCESS = "system.posix_acl_access"
_DEFAULT = "system.posix_acl_default"
_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_BASE = {_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER}


class Entry(NamedTuple):
    tag: int
    permissions: int
    id: int


def users(path: str, *, default: bool = False) -> dict[int, int]:
    """The permissions of each named user, by user id. Empty for a link."""
    return {e.id: e.permissions for e in _entries(path, default=default) if e.tag == _USER}


def has_default(path: str) -> bool:
    """Whether it has a default ACL. False for a link."""
    return bool(_entries(path, default=True))


def lets_others_write(path: str) -> bool:
    """Whether an ACL lets a named user or group write."""
    return any(entry.tag in {_USER, _GROUP} and entry.permissions & 2 for entry in _entries(path))


def plain(
    path: str, *, whole: bool, kept: tuple[str, ...] = (), users: Container[int] = ()
) -> None:
    """Remove each ACL whose entries only repeat the mode, and each default ACL that names nobody
    but `users`, except those of the directories `kept` and below. Does not follow links.
    """
    _each(lambda place: _plain(place, kept, users), path, whole=whole)


def narrow(path: str, *, whole: bool) -> None:
    """Take for good what the mask withholds, as after `chmod 600`, from what is ours: setfacl(1)
    computes another mask, which would give it again.
    """
    _each(_narrow, path, whole=whole)


def repeats(path: str) -> bool:
    """Whether `path` has an ACL that only repeats the mode."""
    return {entry.tag for entry in _entries(path)} in ({*_BASE}, {*_BASE} - {_MASK})


def _narrow(path: str) -> None:
    if sys.platform != "linux":
        return
    # One inode throughout, whatever is put at `path` meanwhile.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        same = f"/proc/self/fd/{descriptor}"
        entries = _entries(same, follow=True)
        masks = [entry.permissions for entry in entries if entry.tag == _MASK]
        if os.fstat(descriptor).st_uid != os.getuid() or not masks:
            return
        narrowed = [
            entry._replace(permissions=entry.permissions & masks[0])
            if entry.tag in {_USER, _GROUP_OBJ, _GROUP}
            else entry
            for entry in entries
        ]
        if narrowed != entries:
            fields = (struct.pack("<HHI", *entry) for entry in narrowed)
            os.setxattr(same, _ACCESS, struct.pack("<I", _VERSION) + b"".join(fields))
    finally:
        os.close(descriptor)


def _plain(path: str, kept: tuple[str, ...], users: Container[int]) -> None:
    if sys.platform != "linux" or os.lstat(path).st_uid != os.getuid():
        return
    if repeats(path):
        os.removexattr(path, _ACCESS, follow_symlinks=False)
    default = _entries(path, default=True)
    others = [e for e in default if e.tag not in _BASE and (e.tag != _USER or e.id not in users)]
    if default and not others and not any(holds(place, path) for place in kept):
        os.removexattr(path, _DEFAULT, follow_symlinks=False)


def _each(act: Callable[[str], None], path: str, *, whole: bool) -> None:
    for place in everything(path) if whole else (path,):
        try:
            act(place)
        except OSError as error:
            # It has gone, or guests have put too many directories into each other.
            if error.errno not in {errno.ENOENT, errno.ENAMETOOLONG}:
                raise


def everything(path: str) -> Iterator[str]:
    """Yield it and all below it but links, however deep: os.walk gives up at Python's recursion
    limit (3.11).
    """
    directories = [path]
    while directories:
        yield (directory := directories.pop())
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                elif not entry.is_symlink():
                    yield entry.path


def _entries(path: str, *, default: bool = False, follow: bool = False) -> list[Entry]:
    if sys.platform != "linux":
        return []
    try:
        raw = os.getxattr(path, _DEFAULT if default else _ACCESS, follow_symlinks=follow)
    except OSError:
        return []
    if len(raw) % 8 != 4 or struct.unpack_from("<I", raw)[0] != _VERSION:
        return []
    return [Entry(*fields) for fields in struct.iter_unpack("<HHI", raw[4:])]
