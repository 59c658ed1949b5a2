"""A directory for host and account, by ACLs: setfacl(1), acl(5); chmod(1) of macOS.

Both can write what either makes in it. Only the host's files are changed, by processes of the
host: a link in such a directory then leads nowhere that the host could not go.
"""

# ruff: noqa: PTH112, PTH114, PTH120

from __future__ import annotations

import os
import pwd
import stat
import sys
from typing import TYPE_CHECKING

from pairctl.accounts import acl
from pairctl.accounts.actions import Narrow, Plain
from pairctl.accounts.facts import require_tool
from pairctl.services.steps import Keep, Run
from pairingd.box.shares import contains, require_shareable
from pairingd.core.refusal import PairingError
from pairingd.core.text import quoted
from pairingd.home.paths import find_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pairctl.accounts.facts import Facts
    from pairctl.services.steps import Step

_COMMAND_TIMEOUT_S = 3600.0  # a directory may have a million files
_CHMOD = "/bin/chmod"  # macOS's: a GNU one before it on PATH, as from Homebrew, knows no +a
_MACOS_RIGHTS = (
    "allow read,write,append,execute,delete,delete_child,readattr,writeattr,readextattr,"
    "writeextattr,readsecurity,file_inherit,directory_inherit"
)


def require(directory: str, host: str, root: str, others: Iterable[str]) -> None:
    """Raise PairingError `not-shareable` if `directory`, resolved, may not be shared, or could not
    be unshared alone because it contains one of the `others` or lies in it. Raise `missing-program`
    if ACLs cannot be set.
    """
    if not directory.isprintable():
        raise _refused(f"{quoted(directory)} cannot be shared: not all of its name can be printed")
    owner = pwd.getpwnam(host)
    own = find_paths({"HOME": owner.pw_dir}).directories
    require_shareable(directory, owner.pw_dir, (*own, root), "--dir DIR")
    for other in others:
        if directory != other and (contains(directory, other) or contains(other, directory)):
            raise _refused(f"{quoted(directory)} overlaps with {quoted(other)}, which is shared")
    if os.stat(directory).st_uid != owner.pw_uid:  # noqa: PTH116
        raise _refused(f"{quoted(directory)} cannot be shared: it does not belong to {host}")
    for parent in parents(directory):
        status = os.stat(parent)  # noqa: PTH116
        if not status.st_mode & stat.S_IXOTH and status.st_uid != owner.pw_uid:
            closed = f"{quoted(parent)} is closed, and not {host}'s"
            reason = f"{quoted(directory)} cannot be shared: {closed}"
            raise _refused(reason)
    if sys.platform != "darwin":
        require_tool("setfacl", "acl")


def _refused(reason: str) -> PairingError:
    return PairingError("not-shareable", reason, "share a directory of yours")


def own_defaults(facts: Facts, directories: Iterable[str]) -> Iterator[str]:
    """Yield each directory in `directories` with a default ACL that does not come from sharing it,
    but none below another.
    """
    user = pwd.getpwnam(facts.name).pw_uid if facts.exists else None
    below: set[str] = set()
    for directory in filter(_is_there, directories):
        for place in acl.everything(directory):
            if os.path.dirname(place) in below:
                below.add(place)
            elif acl.has_default(place) and user not in acl.users(place, default=True):
                below.add(place)
                yield place


def parents(directory: str) -> list[str]:
    """The innermost first."""
    above = []
    while directory != "/":
        directory = os.path.dirname(directory)
        above.append(directory)
    return above


def shared(facts: Facts) -> Iterator[Step]:
    """The steps still to do for all directories that the record names."""
    for directory in filter(_is_there, facts.record.shared):
        if not _is_shared(directory, facts):
            yield from _share(directory, facts)
        for parent in parents(directory):
            if not _lets_through(parent, facts):
                yield _open(parent, facts)


def unshared(directory: str, facts: Facts, others: tuple[str, ...]) -> Iterator[Step]:
    """Unshare `directory`. `others` stay shared, and their parents open."""
    if not facts.exists or not _is_user(facts.record.host):
        yield Keep(directory, "one of the two users has gone, so their ACL entries cannot be found")
        return
    if _is_there(directory):
        yield from _unshare(directory, facts)
    else:
        yield Keep(directory, "it is not there, so its ACL entries cannot be found")
    kept_open = {parent for other in others for parent in parents(other)}
    for parent in filter(os.path.isdir, parents(directory)):
        if parent in kept_open or os.stat(parent).st_uid != pwd.getpwnam(facts.record.host).pw_uid:  # noqa: PTH116
            continue
        # An interrupted run leaves an ACL that repeats the mode.
        if _names(parent, facts) or acl.repeats(parent):
            yield from _close(parent, facts)


def _share(directory: str, facts: Facts) -> Iterator[Step]:
    name, host = facts.name, facts.record.host
    note = f"{name} can then read and write all in there that is {host}'s"
    if facts.system == "darwin":
        for user in (name, host):
            entry = f"user:{user} {_MACOS_RIGHTS}"
            argv = (*_as(host), _CHMOD, "-R", "+a", entry, directory)
            yield Run(argv, note=note, seconds=_COMMAND_TIMEOUT_S)
            note = ""
        return
    yield Narrow(directory, host)
    files, directories = f"u:{name}:rwX", f"u:{name}:rwX,d:u:{name}:rwX,d:u:{host}:rwX"
    yield _each(directory, "f", host, ("setfacl", "-P", "-m", files), note)
    yield _each(directory, "d", host, ("setfacl", "-P", "-m", directories), "and what is new there")


def _unshare(directory: str, facts: Facts) -> Iterator[Step]:
    """First give the host what the account has made there."""
    name, host = facts.name, facts.record.host
    # Not what a third user has made in a directory whose group the account has set.
    for kind, owner in (("-user", host), ("-group", f":{facts.host_group}")):
        # -execdir: a file that is moved meanwhile cannot redirect it.
        chown = ("-execdir", "chown", "-h", owner, "{}", ";")
        yield Run(("find", "-P", directory, kind, name, *chown), seconds=_COMMAND_TIMEOUT_S)
    if facts.system == "darwin":
        for user in (name, host):
            entry = f"user:{user} {_MACOS_RIGHTS}"
            argv = (*_as(host), _CHMOD, "-R", "-a", entry, directory)
            yield Run(argv, soft=(1,), seconds=_COMMAND_TIMEOUT_S)
        return
    yield Narrow(directory, host)
    # At once: without its names, a default ACL of ours would look like one from before.
    yield Plain(directory, host, kept=facts.record.defaults, users=(name, host))
    files, directories = f"u:{name},u:{host}", f"u:{name},u:{host},d:u:{name},d:u:{host}"
    yield _each(directory, "f", host, ("setfacl", "-P", "-x", files), how="-execdir")
    yield _each(directory, "d", host, ("setfacl", "-P", "-x", directories), how="-execdir")
    yield Plain(directory, host, kept=facts.record.defaults)


def _open(parent: str, facts: Facts) -> Run:
    name = facts.name
    note = f"{name} can then pass through it, and open what is readable for all in there"
    if facts.system == "darwin":
        entry = f"user:{name} allow search"
        return Run((*_as(facts.record.host), _CHMOD, "+a", entry, parent), note=note)
    return Run((*_as(facts.record.host), "setfacl", "-m", f"u:{name}:--x", parent), note=note)


def _close(parent: str, facts: Facts) -> Iterator[Step]:
    name, host = facts.name, facts.record.host
    if facts.system == "darwin":
        entry = f"user:{name} allow search"
        yield Run((*_as(host), _CHMOD, "-a", entry, parent), soft=(1,))
        return
    yield Narrow(parent, host, whole=False)
    yield Run((*_as(host), "setfacl", "-x", f"u:{name}", parent))
    yield Plain(parent, host, whole=False)


def _each(
    directory: str, kind: str, host: str, argv: tuple[str, ...], note: str = "", how: str = "-exec"
) -> Run:
    """Run `argv` on each of the host's files, or directories, in it. Links are neither. With
    `-execdir`, which takes longer, no path is too long.
    """
    find = ("find", "-P", directory, "-type", kind, "-user", host, how, *argv, "{}", "+")
    return Run((*_as(host), *find), note=note, seconds=_COMMAND_TIMEOUT_S)


def _as(host: str) -> tuple[str, ...]:
    return () if host == "root" else ("sudo", "-n", "-u", host)


def _is_there(directory: str) -> bool:
    """Not moved, with a link in its place: links are not followed."""
    return os.path.isdir(directory) and not os.path.islink(directory)


def _is_shared(directory: str, facts: Facts) -> bool:
    """Whether all that the host owns in it is shared."""
    if facts.system == "darwin" or not facts.exists:
        return False
    host, user = pwd.getpwnam(facts.record.host).pw_uid, pwd.getpwnam(facts.name).pw_uid
    for place in acl.everything(directory):
        try:
            status = os.lstat(place)
        except OSError:
            continue
        if status.st_uid != host:
            continue
        if stat.S_ISDIR(status.st_mode) and not _has_both(place, host, user):
            return False
        if stat.S_ISREG(status.st_mode) and acl.users(place).get(user, 0) & 6 != 6:
            return False
    return True


def _has_both(directory: str, host: int, user: int) -> bool:
    inherited = acl.users(directory, default=True)
    return acl.users(directory).get(user) == 7 and inherited.get(user) == inherited.get(host) == 7


def _lets_through(parent: str, facts: Facts) -> bool:
    status = os.stat(parent)  # noqa: PTH116
    return bool(status.st_mode & stat.S_IXOTH) or _names(parent, facts)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _names(parent: str, facts: Facts) -> bool:
    """Whether its ACL names the account. On macOS the entry is removed without reading the ACL."""
    if not facts.exists:
        return False
    if facts.system == "darwin":
        return not os.stat(parent).st_mode & stat.S_IXOTH  # noqa: PTH116
    return pwd.getpwnam(facts.name).pw_uid in acl.users(parent)
