"""Files of our own: private, whole or not at all, and in a place nobody else can swap.

The daemon's directories are 0700 and its files 0600. sshd's StrictModes would refuse a home
under /tmp although its sticky bit protects it, so `private_directory` holds the same promise
itself, for every file in there and not the authorized_keys alone.
"""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from pathlib import Path

from pairingd.core.text import shell
from pairingd.errors import Misconfigured, WorldError
from pairingd.user import user_name


def private_directory(path: Path) -> None:
    """Make `path` (0700, ours) if absent. Raises Misconfigured `unsafe-home` if others could
    change what stands in it, or put another directory in its place.
    """
    for part in (path.absolute(), *path.absolute().parents):
        if part.is_symlink() and part.lstat().st_uid not in (0, os.getuid()):
            raise Misconfigured(
                "unsafe-home",
                f"{part} is another user's link",
                "set PAIRING_HOME to a directory of your own",
            )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.getuid():
            raise Misconfigured(
                "unsafe-home", f"{path} belongs to another user", "set PAIRING_HOME to your own"
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise Misconfigured(
            "unusable-home",
            f"{error.filename}: {error.strerror}",
            "set PAIRING_HOME to a directory you can write",
        ) from None
    for parent in path.resolve().parents:
        _check_parent(parent)


def private_file(path: Path) -> None:
    """Mode 0600 for what others could read or write, if it is there and a file of ours."""
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        loose = stat.S_IMODE(found.st_mode) & 0o077
        if loose and stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
            path.chmod(0o600)


def _check_parent(parent: Path) -> None:
    found = parent.stat()
    others = found.st_mode & stat.S_IWOTH
    group = found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid)
    sticky = found.st_mode & stat.S_ISVTX
    if found.st_uid not in (0, os.getuid()) or ((others or group) and not sticky):
        raise Misconfigured(
            "unsafe-home",
            f"other users could replace what is in {parent}",
            f"{shell('chmod', 'go-w', str(parent))}, or set PAIRING_HOME elsewhere",
        )


def _is_private(gid: int) -> bool:
    """Root's group, or ours alone: named as we are, as most Linux systems make it."""
    try:
        return gid == 0 or grp.getgrgid(gid).gr_name == user_name()
    except (KeyError, Misconfigured):
        return False


def write_private(path: Path, content: str) -> None:
    """Replace `path` whole: readers see the old or the new content, and so does a power cut."""
    partial = path.with_name(path.name + ".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    except OSError as error:
        raise WorldError(
            "unwritable-file", f"{path}: {error.strerror}", "free space or mend its permissions"
        ) from None
