"""Files of our own: private, whole or not at all, and in a place nobody else can swap.

The daemon's directories are 0700 and its files 0600. sshd's StrictModes would refuse a home
under /tmp although its sticky bit protects it, so `pairingd.private` holds the same promise
itself, for every file in there and not the authorized_keys alone.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pairingd import private
from pairingd.core.text import shell
from pairingd.errors import Misconfigured, WorldError
from pairingd.paths import is_name_of_ours


def private_directories(paths: Iterable[Path]) -> None:
    """`private_directory` of each, or nothing is made or changed at all."""
    wanted = tuple(paths)
    for path in wanted:
        _check_writers(path, check_directory(path))
    for path in wanted:
        private_directory(path)


def private_directory(path: Path) -> None:
    """Make `path` (0700, ours) if absent; what others may do in it is taken away.

    Raises Misconfigured `unsafe-home` as `check_directory` does, and where others could have
    written what is in it already; then nothing is made or changed. `unusable-home` on OSError.
    """
    _check_writers(path, check_directory(path))
    with _usable(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = check_directory(path)  # again: somebody may have been quicker
    if found and not _is_private(found):
        with _usable(path):
            path.chmod(0o700)


def check_directory(path: Path) -> os.stat_result | None:
    """What stands at `path`, None where nothing does; nothing is made or changed.

    Raises Misconfigured `unsafe-home` where others could put another directory in its place, and
    where it would have to be made private but others may need it as it is.
    """
    with _usable(path):
        found = private.find_directory(str(path))
        if found and not _is_private(found):
            _refuse_what_others_use(path, found)
    return found


def _is_private(found: os.stat_result) -> bool:
    return stat.S_IMODE(found.st_mode) & 0o777 == 0o700


def _check_writers(path: Path, found: os.stat_result | None) -> None:
    with _usable(path):
        if found and private.writable_by_others(str(path), found) and any(path.iterdir()):
            raise Misconfigured(
                "unsafe-home",
                f"other users could have changed the files in {path}",
                f"check its files, then: {shell('chmod', '700', str(path))}",
            )


def private_file(path: Path) -> None:
    """Mode 0600 for what others could read or write, if it is there and a file.

    Raises Misconfigured `unsafe-home` where it is another user's, who could always write it.
    """
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if found.st_uid != os.getuid():
            raise Misconfigured(
                "unsafe-home",
                f"{path} belongs to another user",
                "take it over with chown, or remove it",
            )
        if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o600)


def _refuse_what_others_use(path: Path, found: os.stat_result) -> None:
    """A home directory, say, or one of the system's: others may rely on its mode."""
    strangers = sorted(file.name for file in path.iterdir() if not is_name_of_ours(file.name))
    if strangers:
        why = f"holds files that are not pairing's, such as {strangers[0]!r}"
    elif len(path.resolve().parts) == 2:  # such as /home or /mnt, though it be empty
        why = "is a system directory"
    else:
        return
    raise Misconfigured(
        "unsafe-home",
        f"{path} {why}, and its mode {stat.S_IMODE(found.st_mode):o} lets other users in",
        f"set PAIRING_HOME to a directory of its own, such as {path}/pairing",
    )


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
    """Replace `path` whole: readers see the old or the new content, and so does a power cut.

    Raises WorldError `unwritable-file`.
    """
    _replace(path, content, 0o600)


def remove_file(path: Path) -> None:
    """Nothing where it is gone. Raises WorldError `unwritable-file`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_for_group(path: Path, content: str) -> None:
    """As `write_private`, for the directory's group to read, too: one whose files get its group."""
    _replace(path, content, 0o640)


def _replace(path: Path, content: str, mode: int) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> WorldError:
    return WorldError(
        "unwritable-file", f"{path}: {error.strerror}", "free space or fix its permissions"
    )
