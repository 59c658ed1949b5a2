"""Linux: useradd(8), userdel(8), and the files that a user may leave behind."""

# ruff: noqa: PTH123

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from pairctl.accounts import left
from pairctl.accounts.actions import Ipc
from pairctl.services.steps import Remove, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.accounts.facts import Facts
    from pairctl.services.steps import Step

COMMENT = "pairing guests"
# Nobody can type this password. A first character `!` would lock the user, and the system's own
# sshd would then refuse their keys too: sshd(8), AUTHENTICATION.
_NO_PASSWORD = "*"  # noqa: S105
# The account has expired. sudo ignores that, but PAM lets nobody log in to it, and cron, at and
# systemd ask PAM too. A guest may leave keys for the system's sshd, or a crontab.
_EXPIRED, _EXPIRED_DAY = "1970-01-02", "1"
# No ranges in subuid(5): by newuidmap(1), as rootless containers do, guests would leave programs
# and files that are not the account's. useradd(8), -K.
_NO_RANGES = ("--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0")
_SHADOW = "/etc/shadow"
# Directories that everybody may write; crontabs and at jobs, as on Debian, Ubuntu and Red Hat.
_COMMON = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/var/crash")  # noqa: S108
_JOBS = ("/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/atjobs", "/var/spool/at")
_NAMED = (
    *("/var/spool/cron/crontabs", "/var/spool/cron", "/var/mail", "/var/spool/mail"),
    "/var/lib/systemd/linger",
)
_UNKNOWN_USER, _UNKNOWN_GROUP = 6, 6  # userdel(8), groupdel(8), EXIT VALUES


def made(facts: Facts) -> Iterator[Step]:
    """A user in no group but their own. Only sudo can log in or start a program as that user."""
    name = facts.name
    if not facts.exists:
        # An interrupted userdel has left a group that exists.
        own = ("--gid", name) if facts.has_group else ("--user-group",)
        yield Run(
            (
                *("useradd", "--create-home", "--home-dir", facts.home, *own),
                *("--groups", "", "--shell", facts.shell, "--comment", COMMENT),
                *("--password", _NO_PASSWORD, "--expiredate", _EXPIRED, *_NO_RANGES, name),
            )
        )
    else:
        yield from _completed(name, has_group=facts.has_group)


def _completed(name: str, *, has_group: bool) -> Iterator[Step]:
    """What an interrupted useradd has not written: it writes passwd(5) first."""
    if not has_group:
        yield Run(("groupadd", "--gid", str(pwd.getpwnam(name).pw_gid), name))
    known = _shadow(name)
    if known == ("", ""):
        yield Run(("pwconv",))
    if known and known[0] != _NO_PASSWORD:
        yield Run(("usermod", "--password", _NO_PASSWORD, name))
    if known and known[1] != _EXPIRED_DAY:
        yield Run(("usermod", "--expiredate", _EXPIRED, name))


def stopped(facts: Facts) -> Iterator[Step]:
    """Removes what could start a program as that user later."""
    name = facts.name
    yield from left.owned(name, _JOBS)
    for place in _NAMED[:2]:
        if os.path.lexists(f"{place}/{name}"):
            yield Remove(f"{place}/{name}")


def gone(facts: Facts) -> Iterator[Step]:
    """Removes the user, and the home directory that `made` has made. None of their processes runs
    any more.
    """
    name, home = facts.name, facts.account.home
    if facts.exists:
        yield from left.owned(name, _COMMON)
        yield Ipc(name)
        # Without --remove, which removes whatever home directory somebody has given the user since.
        yield Run(("userdel", name), soft=(_UNKNOWN_USER,))
    if facts.exists or facts.has_group:
        yield Run(("groupdel", name), soft=(_UNKNOWN_GROUP,))
    # Also after an interrupted try.
    if facts.exists or os.path.lexists(home):
        yield Run(("rm", "-rf", "--one-file-system", home))
    for place in _NAMED[2:]:
        if os.path.lexists(f"{place}/{name}"):
            yield Remove(f"{place}/{name}")


def _shadow(name: str) -> tuple[str, str] | None:
    """The password and the day of expiry of shadow(5); empty if the user has no line there. None
    if the file cannot be read.
    """
    try:
        with open(_SHADOW, encoding="utf-8", errors="surrogateescape") as file:
            fields = (line.rstrip("\n").split(":") for line in file)
            return next(((each[1], each[7]) for each in fields if each[0] == name), ("", ""))
    except (OSError, IndexError):
        return None
