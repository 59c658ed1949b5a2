"""Whether an account is whole: all is there, is what it must be, and belongs to whom it must.

Needs no root: nothing of it is a secret but the host key, of which only the mode is looked at.
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
    """What must be there besides the home directory. `root` is USER:GROUP of root."""
    own, hosts = f"{account.name}:{account.name}", f"{record.host}:{account.name}"
    return [
        Directory(account.programs, 0o755, root),
        Directory(account.host, 0o2750, hosts),
        Directory(account.live, 0o2750, hosts),
        Directory(account.run, 0o711, own),
    ]


def files(account: Account, record: Record) -> list[File]:
    """The programs. Where there is no such user yet, as they will be."""
    try:
        user = pwd.getpwnam(account.name)
        home, its_shell = user.pw_dir, user.pw_shell
    except KeyError:
        home, its_shell = account.home, new_shell()
    made = programs.programs(account, record, home, its_shell, programs.LANG)
    return [File(path, content, 0o755) for path, content in made]


def new_shell() -> str:
    """The login shell of a user who is still to be made."""
    return next((one for one in SHELLS if os.access(one, os.X_OK)), SHELLS[-1])


def missing(account: Account, record: Record) -> Iterator[str]:
    """What is not there, or not as it must be, in words; the rule of sudo is not looked at."""
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
    """The command that completes it. sudo has a PATH of its own: secure_path of sudoers(5)."""
    beside = os.path.join(os.path.dirname(sys.executable), "pairctl")  # noqa: PTH118, PTH120
    pairctl = beside if os.access(beside, os.X_OK) else "pairctl"
    return shell("sudo", pairctl, "account", "create", account.name)


def is_directory(directory: Directory) -> bool:
    """A group that is left out may be any."""
    user, _, group = directory.owner.partition(":")
    try:
        found = os.lstat(directory.path)
        gid = grp.getgrnam(group).gr_gid if group else found.st_gid
        owner = (pwd.getpwnam(user).pw_uid, gid)
    except (OSError, KeyError):
        return False
    mode = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == directory.mode
    return mode and (found.st_uid, found.st_gid) == owner


def is_file(file: File) -> bool:
    """Root's, with that content."""
    try:
        found = os.lstat(file.path)
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != file.mode:
            return False
        with open(file.path, encoding="utf-8") as opened:
            return found.st_uid == 0 and opened.read() == file.content
    except (OSError, UnicodeDecodeError):
        return False


def has_host_key(account: Account) -> bool:
    """Both halves, the private one root's and readable by the account alone."""
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
