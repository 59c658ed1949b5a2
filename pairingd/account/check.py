"""Checks an account: everything exists, and has the right content, mode and owner.

Needs no root: only the host key is secret, and of that only the mode is checked.
"""

# ruff: noqa: PTH123 - pathlib takes longer to import than all else that `pairctl` does

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from pairingd.account import programs
from pairingd.core.text import shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairingd.account.place import Account, Record

SHELLS = ("/bin/zsh",) if sys.platform == "darwin" else ("/bin/bash", "/bin/sh")


class Directory(NamedTuple):
    """`owner` is USER:GROUP."""

    path: str
    mode: int
    owner: str


class File(NamedTuple):
    path: str
    content: str
    mode: int


def directories(account: Account, record: Record, root: str) -> list[Directory]:
    """Return the directories needed besides the home directory. `root` is USER:GROUP of root."""
    own, hosts = f"{account.name}:{account.name}", f"{record.host}:{account.name}"
    return [
        Directory(account.programs, 0o755, root),
        Directory(account.host, 0o2750, hosts),
        Directory(account.live, 0o2750, hosts),
        Directory(account.run, 0o711, own),
    ]


def files(account: Account, record: Record) -> list[File]:
    """Return the programs; if there is no such user yet, as they will be."""
    try:
        user = pwd.getpwnam(account.name)
        home, its_shell = user.pw_dir, user.pw_shell
    except KeyError:
        home, its_shell = account.home, new_shell()
    contents = programs.programs(account, record, home, its_shell, programs.LANG)
    return [File(path, content, 0o755) for path, content in contents]


def new_shell() -> str:
    """Return the login shell for a new user."""
    return next((path for path in SHELLS if os.access(path, os.X_OK)), SHELLS[-1])


def missing(account: Account, record: Record) -> Iterator[str]:
    """Yield the name of each missing or wrong part; does not check the sudoers rule."""
    try:
        user = pwd.getpwnam(account.name)
    except KeyError:
        yield f"the user {account.name}"
        return
    own = f"{account.name}:{account.name}"
    if not is_directory(Directory(user.pw_dir, 0o700, own)):
        yield f"the home directory {user.pw_dir}"
    for directory in directories(account, record, "root:"):
        if not is_directory(directory):
            yield directory.path
    for file in files(account, record):
        if not is_file(file):
            yield file.path
    if not has_host_key(account):
        yield account.host_key


def remedy(account: Account) -> str:
    """Return the command that completes it. sudo has its own PATH: secure_path of sudoers(5)."""
    beside = os.path.join(os.path.dirname(sys.executable), "pairctl")  # noqa: PTH118, PTH120
    pairctl = beside if os.access(beside, os.X_OK) else "pairctl"
    return shell("sudo", pairctl, "account", "create", account.name)


def is_directory(directory: Directory) -> bool:
    """Whether it exists with this mode and owner; a group that is left out may be any. True where
    we may not look, as in the directory of another host.
    """
    user, _, group = directory.owner.partition(":")
    try:
        status = os.lstat(directory.path)
        gid = grp.getgrnam(group).gr_gid if group else status.st_gid
        owner = (pwd.getpwnam(user).pw_uid, gid)
    except PermissionError:
        return True
    except (OSError, KeyError):
        return False
    mode = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == directory.mode
    return mode and (status.st_uid, status.st_gid) == owner


def is_file(file: File) -> bool:
    """Whether it is root's, with this mode and content."""
    try:
        status = os.lstat(file.path)
        if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != file.mode:
            return False
        with open(file.path, encoding="utf-8") as opened:
            return status.st_uid == 0 and opened.read() == file.content
    except (OSError, UnicodeDecodeError):
        return False


def has_host_key(account: Account) -> bool:
    """Whether both halves exist, the private one root's and readable only by the account."""
    try:
        private, public = os.lstat(account.host_key), os.lstat(account.host_key_pub)
        gid = grp.getgrnam(account.name).gr_gid
    except (OSError, KeyError):
        return False
    owners = (private.st_uid, private.st_gid, public.st_uid)
    modes = stat.S_IMODE(private.st_mode), stat.S_IMODE(public.st_mode)
    return (
        owners == (0, gid, 0)
        and modes == (0o640, 0o644)
        and min(private.st_size, public.st_size) > 0
    )
