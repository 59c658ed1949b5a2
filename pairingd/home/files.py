"""The daemon's own files: private, written atomically, in a place that no other user can replace.

Its directories are 0700 and its files 0600. sshd's StrictModes would refuse a home under /tmp
although its sticky bit protects it, so `private` makes the same check itself, for every file there
and not only for authorized_keys.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pairingd.core.text import shell
from pairingd.errors import Misconfigured, WorldError, remedy
from pairingd.home import disk, private
from pairingd.home.paths import is_name_of_ours


def private_directories(paths: Iterable[Path]) -> None:
    """Call `private_directory` for each, or make and change nothing."""
    directories = tuple(paths)
    check_directories(directories)
    for path in directories:
        private_directory(path)


def check_directories(paths: Iterable[Path]) -> None:
    """Raise as `private_directories` would; make and change nothing."""
    for path in paths:
        _check_writers(path, check_directory(path))


def private_directory(path: Path) -> None:
    """Make `path` (0700, ours) if absent; take other users' permissions away.

    Raises Misconfigured `unsafe-home` as `check_directory` does, and if other users could have
    written its contents; then nothing is made or changed. `unusable-home` on OSError.
    """
    _check_writers(path, check_directory(path))
    with _usable(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = check_directory(path)  # again: somebody may have made it meanwhile
    if status and not _is_private(status):
        with _usable(path):
            path.chmod(0o700)


def check_directory(path: Path) -> os.stat_result | None:
    """Return the status of `path`, None if it is absent. Makes and changes nothing.

    Raises Misconfigured `unsafe-home` if other users could replace it, or if it would have to
    become private but other users may rely on its mode.
    """
    with _usable(path):
        status = private.find_directory(str(path))
        if status and not _is_private(status):
            _refuse_shared_directory(path, status)
    return status


def _is_private(status: os.stat_result) -> bool:
    return stat.S_IMODE(status.st_mode) & 0o777 == 0o700


def _check_writers(path: Path, status: os.stat_result | None) -> None:
    with _usable(path):
        if status and private.writable_by_others(str(path), status) and any(path.iterdir()):
            raise Misconfigured(
                "unsafe-home",
                f"other users could have changed the files in {path}",
                f"check its files, then: {shell('chmod', '700', str(path))}",
            )


def private_file(path: Path) -> None:
    """Set mode 0600 on a regular file that other users could read or write, if it exists.

    Raises Misconfigured `unsafe-home` if it belongs to another user, who could always write it.
    """
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        if status.st_uid != os.getuid():
            raise Misconfigured(
                "unsafe-home",
                f"{path} belongs to another user",
                "take it over with chown, or remove it",
            )
        if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o077:
            path.chmod(0o600)


def _refuse_shared_directory(path: Path, status: os.stat_result) -> None:
    """Refuse a home or system directory: other users may rely on its mode."""
    strangers = sorted(file.name for file in path.iterdir() if not is_name_of_ours(file.name))
    if strangers:
        reason = f"holds files that are not pairing's, such as {strangers[0]!r}"
    elif len(path.resolve().parts) == 2:  # such as /home or /mnt, even if empty
        reason = "is a system directory"
    else:
        return
    raise Misconfigured(
        "unsafe-home",
        f"{path} {reason}, and its mode {stat.S_IMODE(status.st_mode):o} lets other users in",
        f"set PAIRING_HOME to a directory of its own, such as {path / 'pairing'}",
    )


def check_file(path: Path) -> None:
    """Raise OSError if `path` could not be opened for writing, or made where it is absent, once its
    directory is private, or is a FIFO. Makes and changes nothing.
    """
    try:
        # O_NONBLOCK: opening a FIFO would wait for its reader; so it is ENXIO if there is none.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
        is_fifo = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        if is_fifo:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))
    except FileNotFoundError:
        place = next(parent for parent in path.parents if os.path.lexists(parent))
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place)) from None
        if place != path.parent and not os.access(place, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(place)) from None


@contextlib.contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Misconfigured(
            "unusable-home",
            f"{error.filename or path}: {error.strerror}",
            "set PAIRING_HOME to a directory you can write",
        ) from None


def write_private(path: Path, content: str) -> None:
    """Replace `path` atomically: it has the old or the new content, also after a power cut.

    Raises WorldError `unwritable-file`.
    """
    _replace(path, content, 0o600)


def remove_file(path: Path) -> None:
    """Unlink `path`, if it exists. Raises WorldError `unwritable-file`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_for_group(path: Path, content: str) -> None:
    """As `write_private`, but readable by the group that files in this directory get."""
    _replace(path, content, 0o640)


def _replace(path: Path, content: str, mode: int) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(partial, flags, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            disk.sync(descriptor)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> WorldError:
    way_out = remedy(error, "free space or fix its permissions")
    return WorldError("unwritable-file", f"{path}: {error.strerror}", way_out)
